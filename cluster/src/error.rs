//! What can go wrong between processes.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, ClusterError>;

/// An error of the cluster; the operator acts.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// An address, option or token is no good.
    #[error("{0}")]
    Options(String),
    /// A process cannot be reached, or the connection broke.
    #[error("{peer} cannot be reached: {message}")]
    Unreachable {
        /// Who.
        peer: String,
        /// What the network said.
        message: String,
    },
    /// The token was refused.
    #[error("{peer} refuses the token; give the one that it was started with")]
    Forbidden {
        /// Who.
        peer: String,
    },
    /// Over TLS, it did not prove who it is.
    #[error("{peer} cannot be trusted: {message}")]
    Untrusted {
        /// Who.
        peer: String,
        /// What is wrong, and what helps.
        message: String,
    },
    /// No executor was there for as long as was waited.
    #[error(
        "the cluster has no executor; start one with `emberline cluster executor --scheduler {scheduler}`"
    )]
    NoExecutors {
        /// Address of the scheduler.
        scheduler: String,
    },
    /// A job failed, on every attempt.
    #[error("job `{job}` failed: {message}")]
    Failed {
        /// Name of the job.
        job: String,
        /// What the cluster said.
        message: String,
    },
    /// Nothing moved for as long as was waited.
    #[error("job `{job}` made no progress for {seconds} s; {waiting}")]
    Stuck {
        /// Name of the job.
        job: String,
        /// How long.
        seconds: u64,
        /// Parts that were waited for, and the executors they ran on.
        waiting: String,
    },
    /// The client stopped the job.
    #[error("cancelled")]
    Cancelled,
}

impl ClusterError {
    pub(crate) fn unreachable(peer: &str, message: impl std::fmt::Display) -> Self {
        Self::Unreachable {
            peer: peer.to_owned(),
            message: message.to_string(),
        }
    }

    /// Whether it stays however often one tries.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { .. } | Self::Untrusted { .. } | Self::Options(_)
        )
    }

    pub(crate) fn of_status(peer: &str, status: &tonic::Status) -> Self {
        if let Some(message) = crate::tls::fault(status) {
            return Self::Untrusted {
                peer: peer.to_owned(),
                message,
            };
        }
        match status.code() {
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => Self::Forbidden {
                peer: peer.to_owned(),
            },
            // What the scheduler will not do however often it is asked.
            tonic::Code::FailedPrecondition => Self::Options(status.message().to_owned()),
            _ => Self::unreachable(peer, status.message()),
        }
    }
}
