//! The way to the server, step by step: each that fails is the reason why the next ones are not tried.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use heddle_model::clock::{Clock as _, SystemClock};
use secrecy::{ExposeSecret as _, SecretString};

use super::Report;
use crate::host::admin::bottom;
use crate::host::bootstrap::Facts;

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A clock that differs by more than this makes certificates invalid that are valid.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// By less than this is no news.
const PRECISE: TimeDelta = TimeDelta::seconds(5);

/// gRPC's numbers.
const UNIMPLEMENTED: &str = "12";
const UNAUTHENTICATED: &str = "16";

const STEPS: [&str; 5] = [
    "DNS",
    "connection",
    "certificate",
    "clock",
    "the token is accepted",
];

/// Notes that what comes after a step is not tried.
fn give_up(report: &mut Report, after: usize) {
    for step in &STEPS[after + 1..] {
        report.skip(step, format!("{} has to be mended first", STEPS[after]));
    }
}

pub(super) async fn look(report: &mut Report, facts: &Facts, token: Option<&SecretString>) {
    let (Some(host), Some(port)) = (&facts.host, facts.port) else {
        for step in STEPS {
            report.skip(step, "the bootstrap names no server");
        }
        return;
    };
    let Some(addresses) = resolve(report, host, port).await else {
        return give_up(report, 0);
    };
    if !connect(report, host, port, &addresses).await {
        return give_up(report, 1);
    }
    let Some(http) = client(report, facts) else {
        return give_up(report, 2);
    };
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    // No such method: the server says whether it takes the token, and nothing else happens.
    let mut request = http.get(format!("https://{authority}/heddle.doctor"));
    if let Some(token) = token {
        request = request.bearer_auth(token.expose_secret().trim());
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            refused(report, host, &bottom(&error));
            return give_up(report, 2);
        }
    };
    report.good(
        "certificate",
        "it is of the authority in the bootstrap, and for this name",
    );
    let header = |name: &str| response.headers().get(name)?.to_str().ok();
    clock(report, header("date"));
    accepted(
        report,
        token.is_some(),
        header("grpc-status"),
        header("grpc-message"),
    );
}

async fn resolve(report: &mut Report, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let look_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let found: Result<Vec<SocketAddr>, String> = match look_up {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(String::from("no answer within 5 seconds")),
    };
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            let shown: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
            report.good("DNS", format!("{host} is {}", shown.join(", ")));
            Some(addresses)
        }
        other => {
            let why = other.err().unwrap_or_else(|| String::from("no address"));
            report.bad(
                "DNS",
                format!("{host} is not known here: {why}"),
                "check /etc/resolv.conf, and whether the name in the bootstrap is right",
            );
            None
        }
    }
}

async fn connect(report: &mut Report, host: &str, port: u16, addresses: &[SocketAddr]) -> bool {
    let mut why = String::new();
    for address in addresses {
        let socket = tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await;
        match socket {
            Ok(Ok(_)) => {
                report.good("connection", format!("{address} answers"));
                return true;
            }
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no answer within 5 seconds"),
        }
    }
    report.bad(
        "connection",
        why,
        format!("let this host call {host} port {port} by TCP: firewall, security group, network policy; and check the port in the bootstrap"),
    );
    false
}

/// Trusts what the bootstrap trusts, and nothing else.
fn client(report: &mut Report, facts: &Facts) -> Option<reqwest::Client> {
    let Some(pem) = &facts.ca_pem else {
        report.bad(
            "certificate",
            "the bootstrap names no authority that can be read",
            "write it anew with `heddle bootstrap`: the authority is in it",
        );
        return None;
    };
    let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
    let authorities = authorities.ok().filter(|all| !all.is_empty());
    let http = authorities.and_then(|all| {
        reqwest::Client::builder()
            .tls_certs_only(all)
            .timeout(PATIENCE)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .ok()
    });
    if http.is_none() {
        report.bad(
            "certificate",
            "the authority in the bootstrap is no certificate",
            "write it anew with `heddle bootstrap`",
        );
    }
    http
}

fn refused(report: &mut Report, host: &str, why: &str) {
    let fix = if why.contains("UnknownIssuer") || why.contains("BadSignature") {
        "the server has another authority than the bootstrap knows: write the bootstrap anew with `heddle bootstrap`; or something between here and there opens TLS: let this name through untouched"
    } else if why.contains("NotValidForName") || why.contains("not valid for name") {
        "the server's certificate is for another name: use the name that `heddle bootstrap` writes"
    } else if why.contains("Expired")
        || why.contains("NotValidYet")
        || why.contains("not valid yet")
    {
        "is the clock of this host right? If it is, the server's certificate has to be renewed"
    } else {
        "is it the xDS port of Heddle? `heddle bootstrap` writes the right one; proxies between here and there must let HTTP/2 through"
    };
    report.bad("certificate", format!("{host}: {why}"), fix);
}

fn clock(report: &mut Report, date: Option<&str>) {
    let server = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let Some(server) = server else {
        report.skip("clock", "the server does not say what time it is");
        return;
    };
    let skew = (SystemClock.now() - server.to_utc()).abs();
    let shown = format!("{} s from the server's", skew.num_seconds());
    if skew > SKEW {
        report.bad(
            "clock",
            shown,
            "set it (chronyd, systemd-timesyncd): certificates are valid for hours, by this clock",
        );
    } else if skew > PRECISE {
        report.odd("clock", shown, "let a time service keep it");
    } else {
        report.good("clock", shown);
    }
}

fn accepted(report: &mut Report, shown: bool, status: Option<&str>, message: Option<&str>) {
    let what = STEPS[4];
    if !shown {
        report.skip(what, "there is no token to show");
        return;
    }
    let said = message.map(unescape).unwrap_or_default();
    match status {
        Some(UNIMPLEMENTED) => report.good(what, "the server knows it"),
        Some(UNAUTHENTICATED) => report.bad(
            what,
            said,
            "make a new one: `heddle bootstrap SERVICE PROXY --new-token FILE`; Envoy reads the file again at its next attempt",
        ),
        other => report.odd(
            what,
            format!("the server answered with gRPC status {}: {said}", other.unwrap_or("-")),
            "try again in a moment",
        ),
    }
}

/// gRPC escapes what is not plain.
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut left = text.as_bytes();
    while let Some((byte, rest)) = left.split_first() {
        let hex = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match value.filter(|_| *byte == b'%') {
            Some(value) => {
                out.push(value);
                left = &rest[2..];
            }
            None => {
                out.push(*byte);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_the_server_says_of_the_token() {
        for (status, message, state) in [
            (Some("12"), None, State::Good),
            (Some("16"), Some("HED-3001%3A unknown"), State::Bad),
            (Some("14"), None, State::Odd),
            (None, None, State::Odd),
        ] {
            let mut report = Report::default();
            accepted(&mut report, true, status, message);
            assert_eq!(report.checks[0].state, state);
            assert!(!report.checks[0].detail.contains('%'));
        }
    }

    #[test]
    fn a_clock_that_is_wrong_is_said() {
        let now = SystemClock.now();
        for (by, state) in [(0, State::Good), (30, State::Odd), (-600, State::Bad)] {
            let mut report = Report::default();
            let date = (now + TimeDelta::seconds(by)).format("%a, %d %b %Y %H:%M:%S GMT");
            clock(&mut report, Some(&date.to_string()));
            assert_eq!(report.checks[0].state, state, "{by}");
        }
        let mut report = Report::default();
        clock(&mut report, Some("yesterday"));
        assert_eq!(report.checks[0].state, State::Skipped);
    }
}
