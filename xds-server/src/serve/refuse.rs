//! What a proxy is told when it may not go on: a gRPC status with a stable code and one plain sentence.

use heddle_model::code::Code;
use tonic::Status;

use crate::engine::session::CloseReason;
use crate::graph::Ended;
use crate::node::NodeError;
use crate::source::{Refusal, RequestRefused, SourceError};

fn sentence(code: Code) -> String {
    format!("{}: {} {}", code.as_str(), code.cause(), code.fix())
}

fn status(code: Code, message: String) -> Status {
    match code.status() {
        401 => Status::unauthenticated(message),
        403 => Status::permission_denied(message),
        400 => Status::invalid_argument(message),
        429 => Status::resource_exhausted(message),
        _ => Status::unavailable(message),
    }
}

pub(super) fn code(code: Code) -> Status {
    status(code, sentence(code))
}

pub(super) fn refusal(refusal: Refusal) -> Status {
    code(refusal.code)
}

pub(super) fn node(error: NodeError) -> Status {
    let code = Code::NodeInvalid;
    let message = format!("{}: {error}. {}", code.as_str(), code.fix());
    status(code, message)
}

/// As [`node`], for somebody who has no such thing.
pub(super) fn caller(error: NodeError) -> Status {
    Status::invalid_argument(format!("{}: {error}.", Code::NodeInvalid.as_str()))
}

pub(super) fn request(refused: &RequestRefused) -> Status {
    let code = Code::RequestRefused;
    let message = format!("{}: {refused}. {}", code.as_str(), code.fix());
    status(code, message)
}

/// The client backs off and comes again.
pub(super) fn failed(what: &'static str, error: &SourceError) -> Status {
    let cause = error.source.to_string();
    tracing::warn!(what, %error, cause, "source failed");
    code(Code::Unavailable)
}

pub(super) fn closed(reason: CloseReason) -> Status {
    match reason {
        CloseReason::TooManyNames | CloseReason::NameTooLong => {
            Status::resource_exhausted(reason.to_string())
        }
        CloseReason::AnswerTimeout => Status::unavailable(reason.to_string()),
    }
}

pub(super) fn ended(why: Ended) -> Status {
    match why {
        Ended::Replaced => Status::aborted("a newer stream of the same proxy has taken over"),
        Ended::Refused(why) => refusal(why),
        Ended::MeshDeleted => code(Code::JoinTokenUnknown),
    }
}

pub(super) fn stopping() -> Status {
    Status::unavailable("this connection has ended; connect again")
}

/// Not with OK: nothing that goes on for as long as a proxy lives has been done (X05).
pub(super) fn left() -> Status {
    Status::cancelled("the proxy ended the stream")
}

pub(super) fn slow() -> Status {
    Status::unavailable("the proxy did not read what was sent to it")
}
