//! How the node is, for whoever decides whether to restart it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// How the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not spoken to the edge yet.
    Starting,
    /// It takes work.
    Ready,
    /// The edge does not answer; it tries again.
    EdgeUnreachable,
    /// The device has not moved for so long that a job was given up; it takes no work until it does.
    Stuck,
    /// It finishes what it has and then ends.
    Draining,
}

impl State {
    /// The word for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::EdgeUnreachable => "edge_unreachable",
            Self::Stuck => "stuck",
            Self::Draining => "draining",
        }
    }
}

const UNKNOWN: u8 = 0;
const REACHED: u8 = 1;
const UNREACHED: u8 = 2;

/// What the node's parts know of its state; the worst of it counts.
#[derive(Debug, Default)]
pub struct Health {
    edge: AtomicU8,
    is_stuck: AtomicBool,
    is_draining: AtomicBool,
}

impl Health {
    /// The state now.
    pub fn state(&self) -> State {
        match self.edge.load(Ordering::Relaxed) {
            _ if self.is_draining.load(Ordering::Relaxed) => State::Draining,
            _ if self.is_stuck() => State::Stuck,
            REACHED => State::Ready,
            UNREACHED => State::EdgeUnreachable,
            _ => State::Starting,
        }
    }

    /// The edge answered, or did not; returns whether that is new.
    pub fn edge(&self, is_reached: bool) -> bool {
        let now = if is_reached { REACHED } else { UNREACHED };
        let before = self.edge.swap(now, Ordering::Relaxed);
        before != now && (before != UNKNOWN || !is_reached)
    }

    /// A job was given up since its run did not move.
    pub fn computing_stuck(&self) {
        self.is_stuck.store(true, Ordering::Relaxed);
    }

    /// A run ended.
    pub fn computing_goes_on(&self) {
        self.is_stuck.store(false, Ordering::Relaxed);
    }

    /// Whether runs do not move.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    /// No more work is taken.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let health = Health::default();
        assert_eq!(health.state(), State::Starting);
        assert!(!health.edge(true), "being reached at first is nothing to tell");
        assert_eq!(health.state(), State::Ready);
        assert!(health.edge(false) && !health.edge(false));
        assert_eq!(health.state(), State::EdgeUnreachable);
        assert!(health.edge(true));
        health.computing_stuck();
        assert_eq!(health.state(), State::Stuck);
        health.computing_goes_on();
        assert_eq!(health.state(), State::Ready);
        health.drain();
        health.edge(false);
        assert_eq!(health.state(), State::Draining);
    }
}
