//! Reading chunks on many threads while their results are used in order.

use rayon::prelude::*;

use crate::Result;

/// Maps `0..n` on all threads of the current pool and hands the results to `take` in index order.
///
/// A few results per thread are held at a time, so memory does not grow with `n`. What `take` sees does not depend on
/// the number of threads; of several errors, that of the lowest index is returned.
///
/// # Errors
/// The first error of `map` or `take`; nothing later is taken.
pub fn map_in_order<T: Send, E: Send>(
    n: usize,
    map: impl Fn(usize) -> std::result::Result<T, E> + Sync,
    mut take: impl FnMut(T) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    // Several per thread, so that one slow chunk does not leave the other threads waiting at the end of each wave.
    let wave = 4 * rayon::current_num_threads().max(1);
    for start in (0..n).step_by(wave) {
        let results: Vec<_> = (start..n.min(start + wave))
            .into_par_iter()
            .map(&map)
            .collect();
        for result in results {
            take(result?)?;
        }
    }
    Ok(())
}

/// Folds `0..n` in index order after mapping on all threads.
pub(crate) fn fold_in_order<T: Send, A>(
    n: usize,
    map: impl Fn(usize) -> Result<T> + Sync,
    mut state: A,
    mut fold: impl FnMut(&mut A, T),
) -> Result<A> {
    map_in_order(n, map, |item| {
        fold(&mut state, item);
        Ok(())
    })?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_arrive_in_order_and_the_first_error_ends_it() {
        let mut seen = Vec::new();
        let outcome = map_in_order(
            100,
            |i| if i == 60 || i == 61 { Err(i) } else { Ok(i) },
            |i| {
                seen.push(i);
                Ok(())
            },
        );
        assert_eq!(outcome, Err(60));
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }
}
