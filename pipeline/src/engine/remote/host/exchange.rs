//! A host's part in exchanges: what its blocks send to groups, and the outputs of groups.

use super::super::job::{Answer, Failure, Job, Part, Reply, Sent, Task, unexpected};
use super::{Blobs, Host};
use crate::engine::bytes::{from_bytes, to_bytes};
use crate::run::Cancel;
use crate::{Error, Result};

impl Host {
    /// What a part of a job sends to the job's groups, in their order. Tells of errors too: something always goes to every group.
    #[must_use]
    pub fn scatter(
        &self,
        job: &[u8],
        part: &[u8],
        groups: usize,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Vec<Vec<u8>> {
        let first_block = match from_bytes("part", part) {
            Ok(Part::Chunks { first_block, .. }) => first_block,
            _ => 0,
        };
        let pieces = match self.pieces(job, part, groups, blobs, cancel) {
            Ok(pieces) => pieces.into_iter().map(|piece| Ok(piece.into())).collect(),
            Err(error) => vec![Err(Failure::from(error)); groups],
        };
        let sent = pieces.into_iter().map(|piece| Sent { first_block, piece });
        sent.map(|sent| to_bytes(&sent).unwrap_or_default())
            .collect()
    }

    /// The answer of a group, from what all parts sent to it, in any order.
    #[must_use]
    pub fn gather(
        &self,
        job: &[u8],
        group: usize,
        sent: &[Vec<u8>],
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Vec<u8> {
        let outcome = self
            .output(job, group, sent, blobs, cancel)
            .map_err(Failure::from);
        let reply = Reply {
            kept: None,
            outcome,
        };
        to_bytes(&reply).unwrap_or_default()
    }

    /// The pieces of a part, one a group.
    fn pieces(
        &self,
        job: &[u8],
        part: &[u8],
        groups: usize,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>> {
        let job: Job = from_bytes("job", job)?;
        let part: Part = from_bytes("part", part)?;
        self.forget(&job.forget);
        let (Task::Exchange { exchange, .. }, Part::Chunks { chunks, .. }) = (&job.task, part)
        else {
            return unexpected();
        };
        let state = self.load(&exchange.state, blobs)?;
        let exchange = self.jobs.exchange_of(&exchange.name, &state)?;
        let (pinned, _) = self.partition(job.rows, &chunks, blobs, cancel)?;
        cancel.check()?;
        let bytes = exchange.scatter_bytes(pinned.n_rows());
        let _held = self.hold(bytes, Some((job.rows, &pinned)))?;
        let pieces = self.pool.install(|| exchange.scatter_erased(&*pinned))?;
        if pieces.len() != groups {
            return unexpected();
        }
        Ok(pieces)
    }

    fn output(
        &self,
        job: &[u8],
        group: usize,
        sent: &[Vec<u8>],
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<Answer> {
        let job: Job = from_bytes("job", job)?;
        let Task::Exchange { exchange, n_parts } = &job.task else {
            return unexpected();
        };
        let sent = sent.iter().map(|bytes| from_bytes("piece", bytes));
        let mut sent: Vec<Sent> = sent.collect::<Result<_>>()?;
        // Parts without blocks begin where others do: their pieces are empty and need no place of their own.
        sent.sort_by_key(|sent| sent.first_block);
        if sent.len() != *n_parts {
            return Err(Error::Engine(format!(
                "group {group} got pieces of {} parts, there are {n_parts}",
                sent.len()
            )));
        }
        let state = self.load(&exchange.state, blobs)?;
        let exchange = self.jobs.exchange_of(&exchange.name, &state)?;
        cancel.check()?;
        let pieces = sent.into_iter().map(|sent| Ok(sent.piece?.into_vec()));
        let pieces: Vec<Vec<u8>> = pieces.collect::<Result<_>>()?;
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let output = self
            .pool
            .install(|| exchange.gather_erased(group, &pieces))?;
        Ok(Answer::Outputs(vec![output.into()]))
    }
}
