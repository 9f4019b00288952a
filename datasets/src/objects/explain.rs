//! What an object store's refusal means, and what to do about it.
//!
//! The store's own text is not passed on: it may repeat the key, the token and what was signed. The word that it gives for a code is.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// Why an object cannot be read or written; the inside of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    message: String,
    /// The bucket is what is missing.
    bucket: bool,
}

impl Failure {
    pub fn of(kind: ErrorKind, message: impl Into<String>) -> io::Error {
        io::Error::new(
            kind,
            Self {
                message: message.into(),
                bucket: false,
            },
        )
    }

    fn of_bucket(message: String) -> io::Error {
        let bucket = true;
        io::Error::new(ErrorKind::NotFound, Self { message, bucket })
    }

    /// Whether it is the bucket that is missing.
    pub fn is_bucket(error: &io::Error) -> bool {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<Self>());
        inner.is_some_and(|f| f.bucket)
    }
}

pub(super) fn changed() -> io::Error {
    Failure::of(
        ErrorKind::Other,
        "the object changed while it was in use; run again when nothing writes to it",
    )
}

/// The error to show for one of the crate's. `endpoint` says where the bucket was asked for.
pub(super) fn explain(error: &Error, bucket: &str, endpoint: &str) -> io::Error {
    let text = error.to_string();
    let code = code_in(&text).unwrap_or_default();
    if let Some((kind, why)) = by_code(code) {
        return Failure::of(kind, why);
    }
    if code == "NoSuchBucket" {
        return Failure::of_bucket(format!(
            "there is no bucket `{bucket}` at {endpoint}; check its name, AWS_ENDPOINT_URL and AWS_REGION"
        ));
    }
    if let Some(http) = transport(error) {
        return unreachable(error, http, endpoint);
    }
    match error {
        Error::NotFound { .. } => Failure::of(ErrorKind::NotFound, "there is no such object"),
        Error::AlreadyExists { .. } => {
            Failure::of(ErrorKind::AlreadyExists, "there is such an object already")
        }
        Error::Precondition { .. } => changed(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            Failure::of(ErrorKind::PermissionDenied, DENIED)
        }
        Error::NotImplemented { .. } => Failure::of(
            ErrorKind::Unsupported,
            "the store cannot refuse to replace an object (AWS_CONDITIONAL_PUT); allow it to be overwritten",
        ),
        _ if is_redirect(&text) => Failure::of(ErrorKind::NotFound, REGION),
        _ => Failure::of(ErrorKind::Other, other(&text, code, endpoint)),
    }
}

const REGION: &str = "the bucket lies in another region; set AWS_REGION to that region (and AWS_ENDPOINT_URL, where it is set, to its endpoint)";

const DENIED: &str = "the object store denies access; the user of AWS_ACCESS_KEY_ID needs the right to it (s3:GetObject and s3:ListBucket to read, s3:PutObject to write)";

fn by_code(code: &str) -> Option<(ErrorKind, &'static str)> {
    let denied = ErrorKind::PermissionDenied;
    Some(match code {
        "InvalidAccessKeyId" | "InvalidClientTokenId" => (
            denied,
            "the object store does not know the access key; check AWS_ACCESS_KEY_ID (and AWS_ENDPOINT_URL: is it the right store?)",
        ),
        "SignatureDoesNotMatch" => (
            denied,
            "the secret does not fit the access key; check AWS_SECRET_ACCESS_KEY",
        ),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => (
            denied,
            "the session token is wrong or has expired; set AWS_SESSION_TOKEN (with the AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the same session) anew, or unset it",
        ),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => (denied, DENIED),
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "IncorrectEndpoint" => (ErrorKind::NotFound, REGION),
        "RequestTimeTooSkewed" => (
            denied,
            "the clock of this machine and that of the object store differ; set the clock",
        ),
        _ => return None,
    })
}

/// The code of the refusal: a word.
fn code_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once('<')?;
    let is_word = code.len() <= 60 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(code)
}

/// A redirect without a target is how Amazon S3 tells of another region.
fn is_redirect(text: &str) -> bool {
    text.contains("redirect without LOCATION")
        || status(text).is_some_and(|s| s.starts_with("301") || s.starts_with("307"))
}

/// `503 Service Unavailable`.
fn status(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("status code: ")?;
    let end = rest.find([':', '<', '\n']).unwrap_or(rest.len());
    Some(rest[..end].trim()).filter(|s| s.len() <= 60)
}

fn other(text: &str, code: &str, endpoint: &str) -> String {
    let said = match (status(text), code) {
        (_, code) if !code.is_empty() => code,
        (Some(status), _) => status,
        (None, _) => "what makes no sense",
    };
    format!("the object store at {endpoint} answered {said}")
}

/// Whether there was no answer at all.
pub(super) fn unanswered(error: &Error) -> bool {
    transport(error).is_some()
}

fn transport(error: &Error) -> Option<&HttpError> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http);
        }
        next = error.source();
    }
    None
}

/// The innermost cause is named: those around it repeat the address.
fn unreachable(error: &Error, http: &HttpError, endpoint: &str) -> io::Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let kind = match http.kind() {
        HttpErrorKind::Timeout => ErrorKind::TimedOut,
        HttpErrorKind::Connect => ErrorKind::NotConnected,
        _ => ErrorKind::ConnectionAborted,
    };
    Failure::of(
        kind,
        format!(
            "the object store at {endpoint} cannot be reached ({cause}); check AWS_ENDPOINT_URL, AWS_REGION and the network"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(body: &str) -> String {
        let source = format!("Server returned non-2xx status code: 403 Forbidden: {body}").into();
        let path = "k".to_owned();
        let error = Error::PermissionDenied { path, source };
        explain(&error, "b", "http://store").to_string()
    }

    #[test]
    fn each_refusal_names_what_to_set_and_repeats_no_secret() {
        let body = |code: &str| {
            format!(
                "<Error><Code>{code}</Code><Message>no</Message><AWSAccessKeyId>AKIAX</AWSAccessKeyId><Token-0>hidden</Token-0></Error>"
            )
        };
        for (code, variable) in [
            ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            ("ExpiredToken", "AWS_SESSION_TOKEN"),
            ("AccessDenied", "AWS_ACCESS_KEY_ID"),
            ("AuthorizationHeaderMalformed", "AWS_REGION"),
            ("NoSuchBucket", "AWS_REGION"),
            ("Unheard", ""),
        ] {
            let text = denied(&body(code));
            assert!(text.contains(variable), "{code}: {text}");
            assert!(
                !text.contains("AKIAX") && !text.contains("hidden"),
                "{text}"
            );
        }
        let generic = Error::Generic {
            store: "S3",
            source: format!(
                "Server returned non-2xx status code: 503 Service Unavailable: {}",
                body("SlowDown")
            )
            .into(),
        };
        let text = explain(&generic, "b", "http://store").to_string();
        assert_eq!(text, "the object store at http://store answered SlowDown");
    }
}
