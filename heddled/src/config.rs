//! What the server is told, from flags, the environment and a TOML file, in that order of precedence.
//!
//! [`Settings`] is what was said, all of it optional; [`Config`] is what follows from it. `heddled up`
//! needs the difference: a port that was asked for is binding, a default one may be moved.

mod egress;
mod mail;
mod sealing;
mod value;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
pub(crate) use egress::Egress;
use heddle_api::Rates;
use heddle_model::quota::Quotas;
pub(crate) use mail::Mail;
use sealing::Sealing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use value::{connections, duration, per_second, public_url, quotas, rate};
pub(crate) use value::{reachable, split_address};

/// Where the API listens unless told otherwise.
pub(crate) const DEFAULT_API_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the xDS server listens unless told otherwise.
pub(crate) const DEFAULT_XDS_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 18_000);

/// Everything that can be set, as flags and environment (by clap) and as a file (by serde).
#[derive(Args, Deserialize, Clone, Default)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Settings (flag, then environment, then file)")]
pub(crate) struct Settings {
    /// TOML file with any of these settings, named as the flags but with `_`
    #[arg(long, value_name = "FILE", env = "HEDDLE_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// PostgreSQL, as the role that the server runs under
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// PostgreSQL, as the role that owns the schema [default: the same]
    #[arg(
        long,
        value_name = "URL",
        env = "HEDDLE_MIGRATE_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) migrate_database_url: Option<String>,
    /// Connections of the server to PostgreSQL at most, 2 to 1000 [default: 20]
    #[arg(long, value_name = "NUMBER", env = "HEDDLE_DATABASE_CONNECTIONS")]
    pub(crate) database_connections: Option<u32>,
    /// How long a request waits for one of them before it is told to come again [default: 2s]
    #[arg(long, value_name = "DURATION", env = "HEDDLE_DATABASE_WAIT")]
    pub(crate) database_wait: Option<String>,
    /// Redis, which lets several servers wake one another: redis:// or rediss:// [default: none, for a server that is alone]
    #[arg(
        long,
        value_name = "URL",
        env = "HEDDLE_REDIS_URL",
        hide_env_values = true
    )]
    pub(crate) redis_url: Option<String>,
    /// PEM file: what Redis is verified with, for rediss:// [default: the authorities of this machine]
    #[arg(long, value_name = "FILE", env = "HEDDLE_REDIS_CA")]
    pub(crate) redis_ca: Option<PathBuf>,
    /// What every key and channel in Redis begins with, equal for all servers of one database [default: heddle]
    #[arg(long, value_name = "TEXT", env = "HEDDLE_REDIS_PREFIX")]
    pub(crate) redis_prefix: Option<String>,
    /// How many reads a second each token or session may make, on average over ten seconds; 0: as many as it likes [default: 1000]
    #[arg(long, value_name = "NUMBER", env = "HEDDLE_RATE_READS")]
    pub(crate) rate_reads: Option<u32>,
    /// How many writes a second each token or session may make, on average over ten seconds; 0: as many as it likes [default: 200]
    #[arg(long, value_name = "NUMBER", env = "HEDDLE_RATE_WRITES")]
    pub(crate) rate_writes: Option<u32>,
    /// How many reads a second all of an organisation may make together, on average over ten seconds; 0: as many as it likes [default: 5000]
    #[arg(long, value_name = "NUMBER", env = "HEDDLE_RATE_ORG_READS")]
    pub(crate) rate_org_reads: Option<u32>,
    /// How many writes a second all of an organisation may make together, on average over ten seconds; 0: as many as it likes [default: 1000]
    #[arg(long, value_name = "NUMBER", env = "HEDDLE_RATE_ORG_WRITES")]
    pub(crate) rate_org_writes: Option<u32>,
    /// What an organisation may have, such as `services=500 proxies=unlimited`, with a space between them; `heddled admin quota`
    /// says it for one [default: what `heddled admin quota list` shows]
    #[arg(long, value_name = "QUOTAS", env = "HEDDLE_QUOTAS")]
    pub(crate) quotas: Option<String>,
    /// Where the API listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "HEDDLE_API_LISTEN")]
    pub(crate) api_listen: Option<SocketAddr>,
    /// Where people reach the console and the API, such as https://heddle.example.com [default: where a request arrives]
    #[arg(long, value_name = "URL", env = "HEDDLE_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// The mail server: smtps://user:password@host, or smtp://host?tls=required for STARTTLS [default: none]
    #[arg(
        long,
        value_name = "URL",
        env = "HEDDLE_SMTP_URL",
        hide_env_values = true
    )]
    pub(crate) smtp_url: Option<String>,
    /// PEM file: what the mail server is verified with [default: the authorities of this machine]
    #[arg(long, value_name = "FILE", env = "HEDDLE_SMTP_CA")]
    pub(crate) smtp_ca: Option<PathBuf>,
    /// Who mail is from, such as Heddle <heddle@example.com>
    #[arg(long, value_name = "MAILBOX", env = "HEDDLE_MAIL_FROM")]
    pub(crate) mail_from: Option<String>,
    /// Folder in which mails are files, in place of a mail server [default with `up`: mail in the data directory]
    #[arg(long, value_name = "DIRECTORY", env = "HEDDLE_MAIL_DIR")]
    pub(crate) mail_dir: Option<PathBuf>,
    /// Networks that are called for customers (identity providers) although they are not public, such as 10.20.0.0/16, with a space between them
    #[arg(
        long,
        value_name = "NETWORKS",
        env = "HEDDLE_EGRESS_ALLOW",
        value_delimiter = ' '
    )]
    pub(crate) egress_allow: Option<Vec<String>>,
    /// Public networks that are not called for customers, such as those of this installation, with a space between them
    #[arg(
        long,
        value_name = "NETWORKS",
        env = "HEDDLE_EGRESS_DENY",
        value_delimiter = ' '
    )]
    pub(crate) egress_deny: Option<Vec<String>>,
    /// PEM file: what they are verified with besides the authorities of this machine
    #[arg(long, value_name = "FILE", env = "HEDDLE_EGRESS_CA")]
    pub(crate) egress_ca: Option<PathBuf>,
    /// Where the xDS server listens [default: 127.0.0.1:18000]
    #[arg(long, value_name = "ADDRESS", env = "HEDDLE_XDS_LISTEN")]
    pub(crate) xds_listen: Option<SocketAddr>,
    /// The host:port that proxies dial [default: where the xDS server listens]
    #[arg(long, value_name = "HOST:PORT", env = "HEDDLE_XDS_ADDRESS")]
    pub(crate) xds_address: Option<String>,
    /// PEM file: the xDS server's certificate chain; read again when it changes
    #[arg(long, value_name = "FILE", env = "HEDDLE_XDS_TLS_CERT")]
    pub(crate) xds_tls_cert: Option<PathBuf>,
    /// PEM file: the xDS server's private key; read again when it changes
    #[arg(long, value_name = "FILE", env = "HEDDLE_XDS_TLS_KEY")]
    pub(crate) xds_tls_key: Option<PathBuf>,
    /// PEM file: what proxies verify the xDS server with
    #[arg(long, value_name = "FILE", env = "HEDDLE_XDS_CA")]
    pub(crate) xds_ca: Option<PathBuf>,
    /// Where the key is that seals the private keys in the database: file:PATH, env:VARIABLE or a pkcs11: URI
    #[arg(long, value_name = "SOURCE", env = "HEDDLE_SEALING_KEY")]
    pub(crate) sealing_key: Option<String>,
    /// The same in a file of 32 bytes in hexadecimal, which is made when it is not there
    #[arg(long, value_name = "FILE", env = "HEDDLE_SEALING_KEY_FILE")]
    pub(crate) sealing_key_file: Option<PathBuf>,
    /// Where keys are that sealed before it and still open, with a space between them
    #[arg(
        long,
        value_name = "SOURCES",
        env = "HEDDLE_SEALING_KEYS_BEFORE",
        value_delimiter = ' '
    )]
    pub(crate) sealing_keys_before: Option<Vec<String>>,
    /// Socket of the process that signs: where `heddled ca` serves, and whom a server asks that has no sealing key
    #[arg(long, value_name = "PATH", env = "HEDDLE_CA_SOCKET")]
    pub(crate) ca_socket: Option<PathBuf>,
    /// What the trust domain of every mesh ends in [default: mesh.heddle.internal]
    #[arg(long, value_name = "DOMAIN", env = "HEDDLE_TRUST_DOMAIN_SUFFIX")]
    pub(crate) trust_domain_suffix: Option<String>,
    /// How long a workload's certificate is valid [default: 24h]
    #[arg(long, value_name = "DURATION", env = "HEDDLE_LEAF_LIFETIME")]
    pub(crate) leaf_lifetime: Option<String>,
    /// How long a proxy that vanished stays an endpoint before it is drained [default: 10s]
    #[arg(long, value_name = "DURATION", env = "HEDDLE_ENDPOINT_GRACE")]
    pub(crate) endpoint_grace: Option<String>,
    /// How long a draining endpoint stays listed before it is removed [default: 5s]
    #[arg(long, value_name = "DURATION", env = "HEDDLE_ENDPOINT_DRAIN")]
    pub(crate) endpoint_drain: Option<String>,
    /// How long a proxy of an ephemeral join token may be away before it is forgotten, give or take a few minutes [default: 10m]
    #[arg(long, value_name = "DURATION", env = "HEDDLE_EPHEMERAL_AFTER")]
    pub(crate) ephemeral_after: Option<String>,
    /// What is logged: a level, or directives such as `info,heddle_store=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "HEDDLE_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How it is logged [default: text]
    #[arg(long, value_name = "FORMAT", env = "HEDDLE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The word for it in flags, environment and file.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Settings {
    /// Adds what the file named by `--config` says to what flags and environment said.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or holds a key that does not exist (the error names it).
    pub(crate) fn with_file(self) -> anyhow::Result<Self> {
        let Some(path) = self.config.clone() else {
            return Ok(self);
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("read the configuration file {}", path.display()))?;
        let file = Self::parse(&text)
            .with_context(|| format!("understand the configuration file {}", path.display()))?;
        Ok(self.or(file))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| anyhow!("{error}"))
    }

    /// Takes from `lower` what is not set here. An empty text counts as not set.
    #[must_use]
    pub(crate) fn or(self, lower: Self) -> Self {
        fn text(upper: Option<String>, lower: Option<String>) -> Option<String> {
            upper
                .filter(|text| !text.is_empty())
                .or(lower.filter(|text| !text.is_empty()))
        }
        Self {
            config: self.config.or(lower.config),
            database_url: text(self.database_url, lower.database_url),
            migrate_database_url: text(self.migrate_database_url, lower.migrate_database_url),
            database_connections: self.database_connections.or(lower.database_connections),
            database_wait: text(self.database_wait, lower.database_wait),
            redis_url: text(self.redis_url, lower.redis_url),
            redis_ca: self.redis_ca.or(lower.redis_ca),
            redis_prefix: text(self.redis_prefix, lower.redis_prefix),
            rate_reads: self.rate_reads.or(lower.rate_reads),
            rate_writes: self.rate_writes.or(lower.rate_writes),
            rate_org_reads: self.rate_org_reads.or(lower.rate_org_reads),
            rate_org_writes: self.rate_org_writes.or(lower.rate_org_writes),
            quotas: text(self.quotas, lower.quotas),
            api_listen: self.api_listen.or(lower.api_listen),
            public_url: text(self.public_url, lower.public_url),
            smtp_url: text(self.smtp_url, lower.smtp_url),
            smtp_ca: self.smtp_ca.or(lower.smtp_ca),
            mail_from: text(self.mail_from, lower.mail_from),
            mail_dir: self.mail_dir.or(lower.mail_dir),
            egress_allow: self.egress_allow.or(lower.egress_allow),
            egress_deny: self.egress_deny.or(lower.egress_deny),
            egress_ca: self.egress_ca.or(lower.egress_ca),
            xds_listen: self.xds_listen.or(lower.xds_listen),
            xds_address: text(self.xds_address, lower.xds_address),
            xds_tls_cert: self.xds_tls_cert.or(lower.xds_tls_cert),
            xds_tls_key: self.xds_tls_key.or(lower.xds_tls_key),
            xds_ca: self.xds_ca.or(lower.xds_ca),
            sealing_key: text(self.sealing_key, lower.sealing_key),
            sealing_key_file: self.sealing_key_file.or(lower.sealing_key_file),
            sealing_keys_before: self.sealing_keys_before.or(lower.sealing_keys_before),
            ca_socket: self.ca_socket.or(lower.ca_socket),
            trust_domain_suffix: text(self.trust_domain_suffix, lower.trust_domain_suffix),
            leaf_lifetime: text(self.leaf_lifetime, lower.leaf_lifetime),
            endpoint_grace: text(self.endpoint_grace, lower.endpoint_grace),
            endpoint_drain: text(self.endpoint_drain, lower.endpoint_drain),
            ephemeral_after: text(self.ephemeral_after, lower.ephemeral_after),
            log_level: text(self.log_level, lower.log_level),
            log_format: self.log_format.or(lower.log_format),
        }
    }
}

/// What the server runs with. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// PostgreSQL, as the role that the server runs under.
    pub(crate) database_url: SecretString,
    /// PostgreSQL, as the role that owns the schema.
    pub(crate) migrate_database_url: Option<SecretString>,
    /// Connections of the server to PostgreSQL at most.
    pub(crate) database_connections: u32,
    /// How long a request waits for one of them.
    pub(crate) database_wait: Duration,
    /// Redis; `None`: this server is alone.
    pub(crate) redis_url: Option<SecretString>,
    /// PEM file: what Redis is verified with.
    pub(crate) redis_ca: Option<PathBuf>,
    /// What every key and channel in Redis begins with.
    pub(crate) redis_prefix: String,
    /// How often callers may call.
    pub(crate) rates: Rates,
    /// What an organisation may have that was not told otherwise.
    pub(crate) quotas: Quotas,
    /// Where the API listens.
    pub(crate) api_listen: SocketAddr,
    /// Where people reach the console and the API, without a slash at the end.
    pub(crate) public_url: Option<String>,
    /// Where mail goes.
    pub(crate) mail: Mail,
    /// What is called for customers.
    pub(crate) egress: Egress,
    /// Where the xDS server listens.
    pub(crate) xds_listen: SocketAddr,
    /// The `host:port` that proxies dial.
    pub(crate) xds_address: String,
    /// PEM file: the xDS server's certificate chain; read again when it changes.
    pub(crate) xds_tls_cert: Option<PathBuf>,
    /// PEM file: the xDS server's private key; read again when it changes.
    pub(crate) xds_tls_key: Option<PathBuf>,
    /// PEM file: what proxies verify the xDS server with.
    pub(crate) xds_ca: Option<PathBuf>,
    /// What seals private keys at rest.
    pub(crate) sealing: Sealing,
    /// Socket of the process that signs; `None`: this one.
    pub(crate) ca_socket: Option<PathBuf>,
    /// What the trust domain of every mesh ends in.
    pub(crate) trust_domain_suffix: String,
    /// How long a workload's certificate is valid.
    pub(crate) leaf_lifetime: Duration,
    /// How long a proxy that vanished stays an endpoint before it is drained.
    pub(crate) endpoint_grace: Duration,
    /// How long a draining endpoint stays listed before it is removed.
    pub(crate) endpoint_drain: Duration,
    /// How long a proxy of an ephemeral join token may be away before it is forgotten.
    pub(crate) ephemeral_after: Duration,
    /// What is logged.
    pub(crate) log_level: String,
    /// How it is logged.
    pub(crate) log_format: LogFormat,
}

/// The files that the server cannot do without, and `migrate` and `admin` can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerFiles<'a> {
    /// PEM: certificate chain of the xDS server.
    pub(crate) xds_tls_cert: &'a Path,
    /// PEM: private key of the xDS server.
    pub(crate) xds_tls_key: &'a Path,
    /// PEM: what proxies verify the xDS server with.
    pub(crate) xds_ca: &'a Path,
}

impl Config {
    /// Settles every value. Reads the file that the settings name.
    ///
    /// # Errors
    /// The file is unusable, the database is not named, or a value is not what it should be.
    pub(crate) fn load(settings: Settings) -> anyhow::Result<Self> {
        Self::settle(settings.with_file()?)
    }

    /// Settles every value; the file has been read.
    ///
    /// # Errors
    /// The database is not named, or a value is not what it should be.
    pub(crate) fn settle(settings: Settings) -> anyhow::Result<Self> {
        let settings = settings.or(Settings::default());
        let database_url = settings.database_url.context(
            "no database: set DATABASE_URL, --database-url, or database_url in the file",
        )?;
        let xds_listen = settings.xds_listen.unwrap_or(DEFAULT_XDS_LISTEN);
        let xds_address = settings
            .xds_address
            .unwrap_or_else(|| reachable(xds_listen).to_string());
        split_address(&xds_address)?;
        let public = settings.public_url.as_deref().map(public_url).transpose()?;
        Ok(Self {
            migrate_database_url: settings.migrate_database_url.map(Into::into),
            database_url: database_url.into(),
            database_connections: connections(settings.database_connections)?,
            database_wait: duration("database_wait", settings.database_wait.as_deref(), "2s")?,
            redis_url: settings.redis_url.map(Into::into),
            redis_ca: settings.redis_ca,
            redis_prefix: settings.redis_prefix.unwrap_or_else(|| "heddle".to_owned()),
            rates: Rates {
                reads: rate("rate_reads", settings.rate_reads, 1000)?,
                writes: rate("rate_writes", settings.rate_writes, 200)?,
                org_reads: rate("rate_org_reads", settings.rate_org_reads, 5000)?,
                org_writes: rate("rate_org_writes", settings.rate_org_writes, 1000)?,
            },
            quotas: quotas(settings.quotas.as_deref())?,
            api_listen: settings.api_listen.unwrap_or(DEFAULT_API_LISTEN),
            mail: Mail::settle(
                settings.smtp_url,
                settings.smtp_ca,
                settings.mail_from.as_deref(),
                settings.mail_dir,
                public.as_deref(),
            )?,
            public_url: public,
            egress: Egress::settle(
                &settings.egress_allow.unwrap_or_default(),
                &settings.egress_deny.unwrap_or_default(),
                settings.egress_ca,
            )?,
            xds_listen,
            xds_address,
            xds_tls_cert: settings.xds_tls_cert,
            xds_tls_key: settings.xds_tls_key,
            xds_ca: settings.xds_ca,
            sealing: Sealing::settle(
                settings.sealing_key.as_deref(),
                settings.sealing_key_file,
                &settings.sealing_keys_before.unwrap_or_default(),
            )?,
            ca_socket: settings.ca_socket,
            trust_domain_suffix: settings
                .trust_domain_suffix
                .unwrap_or_else(|| "mesh.heddle.internal".to_owned()),
            leaf_lifetime: duration("leaf_lifetime", settings.leaf_lifetime.as_deref(), "24h")?,
            endpoint_grace: duration("endpoint_grace", settings.endpoint_grace.as_deref(), "10s")?,
            endpoint_drain: duration("endpoint_drain", settings.endpoint_drain.as_deref(), "5s")?,
            ephemeral_after: duration(
                "ephemeral_after",
                settings.ephemeral_after.as_deref(),
                "10m",
            )?,
            log_level: settings.log_level.unwrap_or_else(|| "info".to_owned()),
            log_format: settings.log_format.unwrap_or_default(),
        })
    }

    /// The files that the server needs.
    ///
    /// # Errors
    /// Names the first one that is not set.
    pub(crate) fn server_files(&self) -> anyhow::Result<ServerFiles<'_>> {
        fn required<'a>(value: Option<&'a PathBuf>, key: &str) -> anyhow::Result<&'a Path> {
            value.map(PathBuf::as_path).with_context(|| {
                let flag = key.replace('_', "-");
                let variable = key.to_uppercase();
                format!("{key} is not set: use --{flag}, HEDDLE_{variable} or {key} in the file")
            })
        }
        Ok(ServerFiles {
            xds_tls_cert: required(self.xds_tls_cert.as_ref(), "xds_tls_cert")?,
            xds_tls_key: required(self.xds_tls_key.as_ref(), "xds_tls_key")?,
            xds_ca: required(self.xds_ca.as_ref(), "xds_ca")?,
        })
    }

    /// The whole configuration of the server as environment variables, for a child process that needs nothing else. Not
    /// the credentials that own the schema: only `migrate` gets those.
    #[must_use]
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let millis = |value: Duration| format!("{}ms", value.as_millis());
        let mut all = vec![
            ("DATABASE_URL", self.database_url.expose_secret().to_owned()),
            (
                "HEDDLE_DATABASE_CONNECTIONS",
                self.database_connections.to_string(),
            ),
            ("HEDDLE_DATABASE_WAIT", millis(self.database_wait)),
            ("HEDDLE_REDIS_PREFIX", self.redis_prefix.clone()),
            ("HEDDLE_RATE_READS", per_second(self.rates.reads)),
            ("HEDDLE_RATE_WRITES", per_second(self.rates.writes)),
            ("HEDDLE_RATE_ORG_READS", per_second(self.rates.org_reads)),
            ("HEDDLE_RATE_ORG_WRITES", per_second(self.rates.org_writes)),
            ("HEDDLE_QUOTAS", self.quotas.to_string()),
            ("HEDDLE_API_LISTEN", self.api_listen.to_string()),
            ("HEDDLE_XDS_LISTEN", self.xds_listen.to_string()),
            ("HEDDLE_XDS_ADDRESS", self.xds_address.clone()),
            (
                "HEDDLE_TRUST_DOMAIN_SUFFIX",
                self.trust_domain_suffix.clone(),
            ),
            ("HEDDLE_LEAF_LIFETIME", millis(self.leaf_lifetime)),
            ("HEDDLE_ENDPOINT_GRACE", millis(self.endpoint_grace)),
            ("HEDDLE_ENDPOINT_DRAIN", millis(self.endpoint_drain)),
            ("HEDDLE_EPHEMERAL_AFTER", millis(self.ephemeral_after)),
            ("HEDDLE_LOG_LEVEL", self.log_level.clone()),
            ("HEDDLE_LOG_FORMAT", self.log_format.as_str().to_owned()),
        ];
        let optional = [
            (
                "HEDDLE_REDIS_URL",
                self.redis_url
                    .as_ref()
                    .map(|url| url.expose_secret().to_owned()),
            ),
            ("HEDDLE_REDIS_CA", self.redis_ca.as_ref().map(path)),
            ("HEDDLE_PUBLIC_URL", self.public_url.clone()),
            ("HEDDLE_XDS_TLS_CERT", self.xds_tls_cert.as_ref().map(path)),
            ("HEDDLE_XDS_TLS_KEY", self.xds_tls_key.as_ref().map(path)),
            ("HEDDLE_XDS_CA", self.xds_ca.as_ref().map(path)),
            ("HEDDLE_CA_SOCKET", self.ca_socket.as_ref().map(path)),
        ];
        all.extend(
            optional
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        all.extend(self.mail.environment());
        all.extend(self.egress.environment());
        all.extend(self.sealing.environment());
        all
    }
}

#[cfg(test)]
mod tests;
