//! A look that may block (a disk that does not answer), on a thread of its own. A probe has two at most under way: when
//! both are stuck, the next waits until its check's time is over, and does not take yet another thread with it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::ProbeError;

const MOST: usize = 2;

pub(super) struct Apart(Arc<Semaphore>);

impl Default for Apart {
    fn default() -> Apart {
        Apart(Arc::new(Semaphore::new(MOST)))
    }
}

impl Apart {
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> Result<T, ProbeError> + Send + 'static,
    ) -> Result<T, ProbeError> {
        let broken = |why: &str| ProbeError(format!("the look broke off: {why}"));
        let turn = Arc::clone(&self.0).acquire_owned().await;
        let turn = turn.map_err(|error| broken(&error.to_string()))?;
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn; // kept until the thread comes back, whoever still waits for it
            look()
        });
        looking.await.map_err(|error| broken(&error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc::channel,
        },
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn stuck_looks_take_no_more_threads() {
        let (apart, started) = (Apart::default(), Arc::new(AtomicUsize::new(0)));
        let (release, stuck) = channel::<()>();
        let stuck = Arc::new(std::sync::Mutex::new(stuck));
        for _ in 0..4 {
            let (started, stuck) = (Arc::clone(&started), Arc::clone(&stuck));
            let look = apart.look(move || {
                started.fetch_add(1, Ordering::SeqCst);
                let _ = stuck.lock().map(|stuck| stuck.recv()); // ends when the sender is gone
                Ok(())
            });
            let given_up = tokio::time::timeout(Duration::from_millis(50), look).await;
            assert!(given_up.is_err(), "it does not come back");
        }
        assert_eq!(started.load(Ordering::SeqCst), MOST);
        drop(release);
        assert_eq!(apart.look(|| Ok(7)).await.expect("its turn"), 7);
        let error = apart
            .look(|| Err::<(), _>(ProbeError("no".to_owned())))
            .await;
        assert_eq!(error.expect_err("as told").to_string(), "no");
    }
}
