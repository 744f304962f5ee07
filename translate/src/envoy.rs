//! Small pieces of Envoy configuration that several resources are made of.

pub(crate) mod access_log;
pub(crate) mod http;
pub(crate) mod jwt;
pub(crate) mod tls;

use std::net::IpAddr;
use std::time::Duration as Time;

pub(crate) use envoy_types::pb::envoy::config::cluster::v3 as cluster;
pub(crate) use envoy_types::pb::envoy::config::core::v3 as core;
pub(crate) use envoy_types::pb::envoy::config::route::v3 as route;
pub(crate) use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
pub(crate) use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, UInt32Value};

use self::core::config_source::ConfigSourceSpecifier;
use self::core::socket_address::PortSpecifier;
use self::core::{address, data_source};
use self::matcher::string_matcher::MatchPattern;

/// How long Envoy waits for a resource that it was referred to. Never zero: zero waits for ever, and one
/// missing secret would then hold up every cluster behind it.
const INITIAL_FETCH: Time = Time::from_secs(5);

/// Enough for the longest path that a rule may have.
const MAX_REGEX_STEPS: u32 = 65_536;

pub(crate) fn duration(value: Time) -> Duration {
    Duration {
        // Callers' durations are bounded by days; `i64::MAX` seconds would be a bug elsewhere, not a crash here.
        seconds: i64::try_from(value.as_secs()).unwrap_or(i64::MAX),
        nanos: value.subsec_nanos().cast_signed(),
    }
}

pub(crate) const fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

pub(crate) const fn boolean(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

/// "Ask on the stream that this came on."
pub(crate) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        initial_fetch_timeout: Some(duration(INITIAL_FETCH)),
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource::default(),
        )),
        ..core::ConfigSource::default()
    }
}

pub(crate) fn address(ip: IpAddr, port: u16) -> core::Address {
    host_address(&ip.to_string(), port)
}

/// The same for a DNS name.
pub(crate) fn host_address(host: &str, port: u16) -> core::Address {
    core::Address {
        address: Some(address::Address::SocketAddress(core::SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
            ..core::SocketAddress::default()
        })),
    }
}

fn text(pattern: MatchPattern) -> matcher::StringMatcher {
    matcher::StringMatcher {
        match_pattern: Some(pattern),
        ..matcher::StringMatcher::default()
    }
}

pub(crate) fn exact(value: impl Into<String>) -> matcher::StringMatcher {
    text(MatchPattern::Exact(value.into()))
}

pub(crate) fn prefix(value: impl Into<String>) -> matcher::StringMatcher {
    text(MatchPattern::Prefix(value.into()))
}

/// Matches the whole of a text. Envoy refuses an expression whose compiled form has more than 100 steps.
pub(crate) fn regex(value: impl Into<String>) -> matcher::StringMatcher {
    text(MatchPattern::SafeRegex(matcher::RegexMatcher {
        regex: value.into(),
        ..matcher::RegexMatcher::default()
    }))
}

/// The same for expressions as long as users make them: a path of two segments reaches the 100 steps. A bound
/// that the matcher brings itself goes before Envoy's; the other way to move it is Envoy's runtime, which is not
/// ours when the bootstrap is not.
#[expect(
    deprecated,
    reason = "deprecated since Envoy's first v3 API, in force in every supported version, and the only bound \
              that travels with the matcher; a test holds the oldest and the newest Envoy to it"
)]
pub(crate) fn long_regex(value: impl Into<String>) -> matcher::StringMatcher {
    use matcher::regex_matcher::{EngineType, GoogleRe2};
    text(MatchPattern::SafeRegex(matcher::RegexMatcher {
        regex: value.into(),
        engine_type: Some(EngineType::GoogleRe2(GoogleRe2 {
            max_program_size: number(MAX_REGEX_STEPS),
        })),
    }))
}

pub(crate) fn inline_string(value: impl Into<String>) -> core::DataSource {
    core::DataSource {
        specifier: Some(data_source::Specifier::InlineString(value.into())),
        ..core::DataSource::default()
    }
}

pub(crate) fn file_at(path: impl Into<String>) -> core::DataSource {
    core::DataSource {
        specifier: Some(data_source::Specifier::Filename(path.into())),
        ..core::DataSource::default()
    }
}
