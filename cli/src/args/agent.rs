//! What people type to have certificates on a host.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `heddle agent`
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("ways").args(["socket", "files"]).required(true).multiple(true))]
pub(crate) struct Agent {
    #[command(flatten)]
    pub(crate) from: From,
    /// Serve the SPIFFE Workload API, and SDS for an Envoy, on this unix socket
    #[arg(long, value_name = "PATH", env = "HEDDLE_AGENT_SOCKET")]
    pub(crate) socket: Option<PathBuf>,
    /// Who may open the socket, and so has the identity: as the mode of a file
    #[arg(long, value_name = "MODE", default_value = "660", value_parser = mode, requires = "socket")]
    pub(crate) socket_mode: u32,
    /// Keep svid.pem, key.pem and bundle.pem in this folder; a new agent goes on with what is there
    #[arg(long, value_name = "FOLDER", env = "HEDDLE_AGENT_FILES")]
    pub(crate) files: Option<PathBuf>,
    /// Get one certificate into the folder, and end
    #[arg(long, requires = "files", conflicts_with = "socket")]
    pub(crate) once: bool,
}

/// Where to ask, and as which proxy.
#[derive(Args, Debug)]
#[command(next_help_heading = "Who it is, and where it asks")]
pub(crate) struct From {
    /// Take all of this from the file that an Envoy would start with, as `heddle bootstrap` prints it
    #[arg(long, value_name = "FILE")]
    pub(crate) bootstrap: Option<PathBuf>,
    /// A name for this agent, unique within its service; that of the Envoy when both are one proxy
    #[arg(long, value_name = "NAME", required_unless_present = "bootstrap")]
    pub(crate) proxy: Option<String>,
    /// The service: the join token's, or the server refuses
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// The file with the join token; read again for each call
    #[arg(long, value_name = "FILE", required_unless_present = "bootstrap")]
    pub(crate) join_token: Option<PathBuf>,
    /// Where the xDS server is, HOST:PORT
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "HEDDLE_XDS_ADDRESS",
        required_unless_present = "bootstrap"
    )]
    pub(crate) xds_address: Option<String>,
    /// What its certificate is checked against, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "HEDDLE_XDS_CA",
        required_unless_present = "bootstrap"
    )]
    pub(crate) xds_ca: Option<PathBuf>,
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(String::from("three octal digits, such as 660")),
    }
}

/// What `heddle agent --help` ends with.
pub(crate) const EXAMPLES: &str = "The private key is made here and stays here: what the server gets is a request that the key has signed. Certificates are replaced\n\
    at half of their life, and sooner when what signed them gives way. While the server is away, the last one is handed out.\n\
    Whoever may open the socket has the identity of this host's workload; nobody is asked for a credential there.\n\n\
    Examples:\n  heddle agent --bootstrap heddle-envoy/envoy.yaml --files heddle-identity --once || test $? = 1\n  \
    heddle agent --bootstrap /etc/heddle/envoy.yaml --socket /run/heddle/agent.sock || test $? = 1";
