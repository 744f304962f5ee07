use super::*;

fn minimal() -> Settings {
    Settings {
        database_url: Some("postgres:///heddle".to_owned()),
        ..Settings::default()
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = Config::settle(minimal()).unwrap();
    assert_eq!(config.api_listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.xds_listen.to_string(), "127.0.0.1:18000");
    assert_eq!(config.xds_address, "127.0.0.1:18000");
    assert_eq!(config.leaf_lifetime, Duration::from_secs(24 * 3600));
    // Longer than the longest pause between two attempts of an Envoy to connect.
    assert_eq!(config.endpoint_grace, Duration::from_secs(10));
    assert!(config.migrate_database_url.is_none());
    assert_eq!(config.database_connections, 20);
}

#[test]
fn a_pool_that_cannot_work_is_refused() {
    for (asked, fits) in [
        (0, false),
        (1, false),
        (2, true),
        (1000, true),
        (1001, false),
    ] {
        let settings = Settings {
            database_connections: Some(asked),
            ..minimal()
        };
        let settled = Config::settle(settings);
        assert_eq!(settled.is_ok(), fits, "{asked}");
        let Err(error) = settled else { continue };
        assert!(error.to_string().contains("database_connections"));
    }
}

#[test]
fn flags_and_environment_win_over_the_file() {
    let file = Settings::parse("api_listen = '127.0.0.1:1'\nleaf_lifetime = '20s'").unwrap();
    let flags = Settings {
        api_listen: Some("127.0.0.1:2".parse().unwrap()),
        ..Settings::default()
    };
    let merged = flags.or(file);
    assert_eq!(merged.api_listen.unwrap().port(), 2);
    assert_eq!(merged.leaf_lifetime.as_deref(), Some("20s"));
}

#[test]
fn an_unknown_key_of_the_file_is_named() {
    let error = Settings::parse("api_lisen = '127.0.0.1:1'")
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("api_lisen"), "{error}");
    let error = Settings::parse("config = 'x'").err().unwrap().to_string();
    assert!(error.contains("config"), "{error}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let error = Config::settle(Settings::default()).unwrap_err().to_string();
    assert!(error.contains("DATABASE_URL"), "{error}");
    let empty = Settings {
        database_url: Some(String::new()),
        ..Settings::default()
    };
    assert!(Config::settle(empty).is_err());
    let wrong = Settings {
        leaf_lifetime: Some("soon".to_owned()),
        ..minimal()
    };
    let error = Config::settle(wrong).unwrap_err().to_string();
    assert!(
        error.contains("leaf_lifetime") && error.contains("soon"),
        "{error}"
    );
    let error = Config::settle(minimal())
        .unwrap()
        .server_files()
        .unwrap_err()
        .to_string();
    assert!(error.contains("HEDDLE_XDS_TLS_CERT"), "{error}");
    for address in ["nothing", ":1", "host:", "host:0", "host:99999"] {
        let wrong = Settings {
            xds_address: Some(address.to_owned()),
            ..minimal()
        };
        assert!(Config::settle(wrong).is_err(), "{address}");
    }
    assert_eq!(split_address("[::1]:18000").unwrap(), ("::1", 18000));
}

#[test]
fn debug_shows_no_password() {
    let settings = Settings {
        database_url: Some("postgres://heddle:hunter2@db/heddle".to_owned()),
        redis_url: Some("redis://heddle:hunter2@cache".to_owned()),
        ..Settings::default()
    };
    let shown = format!("{:?}", Config::settle(settings).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_environment_of_a_child_says_the_same() {
    let settings = Settings {
        leaf_lifetime: Some("1.5s".to_owned()),
        xds_listen: Some("0.0.0.0:9".parse().unwrap()),
        xds_ca: Some("/tmp/ca.pem".into()),
        redis_url: Some("redis://cache".to_owned()),
        ..minimal()
    };
    let environment = Config::settle(settings).unwrap().environment();
    let get = |key| {
        environment
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| v.as_str())
    };
    assert_eq!(get("HEDDLE_LEAF_LIFETIME"), Some("1500ms"));
    assert_eq!(get("HEDDLE_XDS_ADDRESS"), Some("127.0.0.1:9"));
    assert_eq!(get("HEDDLE_XDS_CA"), Some("/tmp/ca.pem"));
    assert_eq!(get("HEDDLE_PUBLIC_URL"), None);
    assert_eq!(get("HEDDLE_REDIS_URL"), Some("redis://cache"));
    assert_eq!(get("HEDDLE_REDIS_PREFIX"), Some("heddle"));
}

#[test]
fn rates_are_averages_over_ten_seconds_and_0_is_none() {
    let rates = |asked: Option<u32>| {
        let settings = Settings {
            rate_writes: asked,
            ..minimal()
        };
        Config::settle(settings)
    };
    let writes = |asked| rates(asked).unwrap().rates.writes;
    assert_eq!(writes(Some(0)), None);
    let default = writes(None).unwrap();
    assert_eq!((default.per_second, default.burst), (200, 2000));
    let most = writes(Some(100_000)).unwrap();
    assert_eq!(most.burst, 1_000_000);
    let error = rates(Some(100_001)).unwrap_err().to_string();
    assert!(error.contains("rate_writes"), "{error}");
    let environment = rates(Some(7)).unwrap().environment();
    assert!(environment.contains(&("HEDDLE_RATE_WRITES", String::from("7"))));
}
