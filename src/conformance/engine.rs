//! Hosts in this process: the engine of several processes without the network between them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::datasets::random::Draw;
use crate::pipeline::Cancel;
use crate::pipeline::Registry;
use crate::pipeline::engine::remote::{BlobId, Blobs, Carried, Carrier, Host, Remote, Request};
use crate::prelude::*;

/// Carries each part of a request to a host that the draw names, last part first: so rows, blocks and what they remember are as often
/// elsewhere as they are there. Everything travels as bytes, and is read by the names that the registry knows.
pub struct Scattered {
    hosts: Vec<Host>,
    slots: usize,
    room: Option<u64>,
    draw: Draw,
    blobs: Mutex<BTreeMap<BlobId, Arc<[u8]>>>,
}

impl Scattered {
    /// An engine of two hosts that knows the stages of `registry`, cuts whatever it is given into `slots` parts, and keeps `room` bytes
    /// on each host as far as learners ask.
    ///
    /// # Errors
    /// The threads of a host cannot be started.
    pub fn engine(
        registry: &Registry,
        slots: usize,
        room: Option<u64>,
        seed: u64,
    ) -> Result<Remote> {
        let host = |_| Host::new(registry.clone(), 1, None);
        let scattered = Self {
            hosts: (0..2).map(host).collect::<Result<_>>()?,
            slots,
            room,
            draw: Draw::new(seed, "conformance hosts"),
            blobs: Mutex::default(),
        };
        Ok(Remote::new(Arc::new(scattered), 1))
    }
}

impl Blobs for Scattered {
    fn get(&self, id: &BlobId) -> Result<Arc<[u8]>> {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let found = blobs.get(id).cloned();
        found.ok_or_else(|| Error::Engine("bytes were not laid ready".to_owned()))
    }
}

impl Scattered {
    fn exchange(&self, request: &Request, cancel: &Cancel) -> Vec<Carried> {
        let mut sent = vec![Vec::new(); request.groups];
        for (i, part) in request.parts.iter().enumerate().rev() {
            let host = &self.hosts[i % self.hosts.len()];
            let pieces = host.scatter(&request.job, part, request.groups, self, cancel);
            for (all, own) in sent.iter_mut().zip(pieces) {
                all.push(own);
            }
        }
        let gather = |(group, sent): (usize, &Vec<Vec<u8>>)| {
            let host = group % self.hosts.len();
            Carried {
                by: host.to_string(),
                bytes: self.hosts[host].gather(&request.job, group, sent, self, cancel),
            }
        };
        sent.iter().enumerate().map(gather).collect()
    }
}

impl Carrier for Scattered {
    fn describe(&self) -> String {
        format!("{} hosts in this process", self.hosts.len())
    }

    fn room(&self) -> Result<Option<u64>> {
        Ok(self.room)
    }

    fn slots(&self) -> Result<usize> {
        Ok(self.slots)
    }

    fn put(&self, id: BlobId, bytes: Arc<[u8]>) -> Result<()> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.insert(id, bytes);
        Ok(())
    }

    fn carry(&self, request: &Request, cancel: &Cancel) -> Result<Vec<Carried>> {
        let draw = self.draw.at(request.number);
        if request.groups > 0 {
            return Ok(self.exchange(request, cancel));
        }
        let mut answers = Vec::with_capacity(request.parts.len());
        for (i, part) in request.parts.iter().enumerate().rev() {
            let host = (draw.bits(i as u64) % self.hosts.len() as u64) as usize;
            answers.push(Carried {
                by: host.to_string(),
                bytes: self.hosts[host].compute(&request.job, part, self, cancel),
            });
        }
        answers.reverse();
        Ok(answers)
    }
}
