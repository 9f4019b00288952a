//! Values by key, in memory: made once, let go when others are used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Result;

/// Values by key, made once each; those longest unused go first.
pub(super) struct Keep<K, V> {
    most: usize,
    entries: Mutex<BTreeMap<K, Entry<V>>>,
}

struct Entry<V> {
    used: Instant,
    value: Arc<Mutex<Option<V>>>,
}

impl<K: Ord + Clone, V: Clone> Keep<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            entries: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key. Two who ask for one that is not there do not both make it: the second waits. Must not be called from a
    /// thread of the pool, which may be what the maker waits for.
    pub(super) fn get_or_make(&self, key: &K, make: impl FnOnce() -> Result<V>) -> Result<V> {
        let slot = {
            let mut entries = self.lock();
            while entries.len() >= self.most && !entries.contains_key(key) {
                let Some(oldest) = oldest(&entries, |_| true) else {
                    break;
                };
                entries.remove(&oldest);
            }
            let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
                used: Instant::now(),
                value: Arc::default(),
            });
            entry.used = Instant::now();
            entry.value.clone()
        };
        let mut value = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &*value {
            return Ok(value.clone());
        }
        let made = make()?;
        *value = Some(made.clone());
        Ok(made)
    }

    pub(super) fn drop_oldest(&self, may_go: impl Fn(&K) -> bool) -> bool {
        let mut entries = self.lock();
        let oldest = oldest(&entries, may_go);
        oldest.is_some_and(|key| entries.remove(&key).is_some())
    }

    pub(super) fn retain(&self, keep: impl Fn(&K, Duration) -> bool) {
        self.lock()
            .retain(|key, entry| keep(key, entry.used.elapsed()));
    }

    pub(super) fn values(&self) -> Vec<V> {
        let slots: Vec<_> = self.lock().values().map(|e| e.value.clone()).collect();
        let ready = |slot: &Arc<Mutex<Option<V>>>| slot.try_lock().ok()?.clone();
        slots.iter().filter_map(ready).collect()
    }
}

fn oldest<K: Clone, V>(entries: &BTreeMap<K, Entry<V>>, may_go: impl Fn(&K) -> bool) -> Option<K> {
    let may_go = entries.iter().filter(|(key, _)| may_go(key));
    may_go
        .min_by_key(|(_, e)| e.used)
        .map(|(key, _)| key.clone())
}
