-- Since when nobody is known to be connected at a proxy's server, because that server is gone: by the clock of the database. The proxy may
-- have been connected until then, however long ago something new was written about it.
alter table heddle.proxies add column away_since timestamptz;
