-- Why: whatever is written down in the audit log, and every revision, is to be told to the webhooks that want it: by the statement that
-- writes it, so that no path can forget it, and neither comes without the other.
-- Safe: an organisation without webhooks pays for one look into an empty index. Holds for what the previous release writes, too.

set local role heddle_owner;

create function heddle.tell_webhooks_of_changes() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with told as (
        insert into heddle.webhook_deliveries (org_id, webhook_id, id, topic, mesh_id, created_at, next_at)
        select c.org_id, w.id, c.id, 'audit', c.mesh_id, c.at, c.at
        from heddle.webhooks w join added c on c.org_id = w.org_id
        where w.disabled_why is null and 'audit' = any (w.topics)
        returning org_id, webhook_id, next_at)
    insert into heddle.webhook_turns (whose, webhook_id, due_at)
    select org_id, webhook_id, min(next_at) from told group by org_id, webhook_id;
    return null;
end
$$;
revoke all on function heddle.tell_webhooks_of_changes() from public;
create trigger changes_to_webhooks after insert on heddle.changes
    referencing new table as added for each statement execute function heddle.tell_webhooks_of_changes();

-- The identifier of a message about a revision: as the server draws them (version 7 of RFC 9562), so that later ones are greater.
create function heddle.message_id(at timestamptz) returns uuid
language sql volatile
set search_path = pg_catalog, pg_temp
as $$
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid()) placing substring(int8send(floor(extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;
revoke all on function heddle.message_id(timestamptz) from public;
grant execute on function heddle.message_id(timestamptz) to heddle_tenant;

create function heddle.tell_webhooks_of_revisions() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with named as materialized (
        select org_id, mesh_id, revision, created_at, heddle.message_id(created_at) as id from added
        where exists (select from heddle.webhooks w where w.disabled_why is null)),
    told as (
        insert into heddle.webhook_deliveries (org_id, webhook_id, id, topic, mesh_id, revision, created_at, next_at)
        select n.org_id, w.id, n.id, 'revision', n.mesh_id, n.revision, n.created_at, n.created_at
        from named n join heddle.webhooks w on w.org_id = n.org_id
        where w.disabled_why is null and 'revision' = any (w.topics)
        returning org_id, webhook_id, next_at)
    insert into heddle.webhook_turns (whose, webhook_id, due_at)
    select org_id, webhook_id, min(next_at) from told group by org_id, webhook_id;
    return null;
end
$$;
revoke all on function heddle.tell_webhooks_of_revisions() from public;
create trigger revisions_to_webhooks after insert on heddle.revisions
    referencing new table as added for each statement execute function heddle.tell_webhooks_of_revisions();

reset role;
