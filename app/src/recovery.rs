//! What the page does when the engine failed, and how it says so.

use crate::{engine_handle::Fault, state::Notice, words::full_stop};
use protocol::{DeviceChoice, ErrorCode};

/// Workers that may fail one after the other before the user is asked.
pub const MAX_FAULTS: u32 = 3;

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The worker itself.
    Worker(Fault),
    /// The engine said so.
    Engine {
        /// What kind of failure.
        code: ErrorCode,
        /// Its own words.
        message: String,
    },
}

/// What the page was about when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// The device that the user wants.
    pub choice: DeviceChoice,
    /// The device that was used, if one was chosen already.
    pub used: Option<DeviceChoice>,
    /// The run that went on.
    pub run: RunState,
    /// Workers that failed in a row, this one included.
    pub faults: u32,
}

/// The run that went on when the engine failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// None did.
    None,
    /// One did, for the first time.
    First,
    /// One did that had been begun again already.
    Again,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the user reads.
    pub notice: Notice,
    /// What happens to the engine.
    pub next: Next,
    /// What happens to the run.
    pub run: NextRun,
}

/// What happens to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is started again on this device.
    Start(DeviceChoice),
    /// Nothing, until the user says so.
    Wait,
}

/// What happens to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextRun {
    /// It goes on as soon as the model is loaded again.
    Resume,
    /// It is over.
    Drop,
}

/// Decides what to do about a failure after which the worker must be replaced.
pub fn plan(cause: &Cause, situation: Situation) -> Plan {
    let Situation { choice, used, run, faults } = situation;
    let what = what_happened(cause);
    if faults > MAX_FAULTS {
        let text = format!(
            "{what} This happened {faults} times in a row, so Darkroom waits. Retry, or choose another device."
        );
        return Plan { notice: Notice::error(text).with_retry(), next: Next::Wait, run: NextRun::Drop };
    }

    let on_cpu = used.unwrap_or(choice) == DeviceChoice::Cpu;
    let is = |wanted: ErrorCode| matches!(cause, Cause::Engine { code, .. } if *code == wanted);
    let runs = run != RunState::None;
    if is(ErrorCode::Memory) && (runs || on_cpu) {
        let (text, next) = if runs {
            (format!("{what} Choose a smaller size or fewer pictures."), Next::Start(choice))
        } else {
            (format!("{what} Close other pages, then retry."), Next::Wait)
        };
        let notice = if next == Next::Wait { Notice::error(text).with_retry() } else { Notice::error(text) };
        return Plan { notice, next, run: NextRun::Drop };
    }

    let next_run = if run == RunState::First { NextRun::Resume } else { NextRun::Drop };
    let goes_on = match (next_run, run) {
        (NextRun::Resume, _) => " and makes your picture again",
        (NextRun::Drop, RunState::Again) => "; the run failed twice and is not tried again",
        (NextRun::Drop, _) => "",
    };
    if !on_cpu && (is(ErrorCode::Device) || is(ErrorCode::Memory)) {
        let text = format!("{what} Darkroom goes on with the CPU{goes_on}. You can choose the GPU again at any time.");
        return Plan { notice: Notice::warning(text), next: Next::Start(DeviceChoice::Cpu), run: next_run };
    }
    if !runs && is(ErrorCode::Device) {
        return Plan { notice: Notice::error(what).with_retry(), next: Next::Wait, run: NextRun::Drop };
    }
    let text = format!("{what} Darkroom starts the engine again{goes_on}.");
    Plan { notice: Notice::warning(text), next: Next::Start(choice), run: next_run }
}

/// The notice about a failure to load after which the engine is still there.
pub fn load_notice(code: ErrorCode, message: &str) -> Notice {
    let message = full_stop(message);
    let advice = match code {
        ErrorCode::Network => "What has arrived is kept. Retry now, or Darkroom goes on when the network is back.",
        ErrorCode::Corrupt => "Nothing of the damaged part was used. Retry to fetch it again.",
        // The engine goes on from memory, so this is news and no failure.
        ErrorCode::Quota => return Notice::warning(message),
        _ => "Retry, or choose another device.",
    };
    Notice::error(format!("{message} {advice}")).with_retry()
}

/// The notice about a run that failed while the engine is well.
pub fn run_notice(message: &str) -> Notice {
    Notice::error(full_stop(message))
}

fn what_happened(cause: &Cause) -> String {
    match cause {
        Cause::Worker(Fault::Crashed(reason)) => full_stop(&format!("The engine stopped: {reason}")),
        Cause::Worker(Fault::Unreadable) => "The engine said something that this page does not understand.".to_owned(),
        Cause::Worker(Fault::Silent(seconds)) => format!("The engine gave no sign of life for {seconds} s."),
        Cause::Engine { message, .. } => full_stop(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU_RUN: Situation =
        Situation { choice: DeviceChoice::Auto, used: Some(DeviceChoice::Webgpu), run: RunState::First, faults: 1 };

    fn engine(code: ErrorCode) -> Cause {
        Cause::Engine { code, message: "the GPU was lost".to_owned() }
    }

    #[test]
    fn a_lost_gpu_goes_on_with_the_cpu() {
        let plan = plan(&engine(ErrorCode::Device), GPU_RUN);
        assert_eq!((plan.next, plan.run), (Next::Start(DeviceChoice::Cpu), NextRun::Resume));
        assert!(
            plan.notice.text.starts_with("The GPU was lost. Darkroom goes on with the CPU"),
            "{}",
            plan.notice.text
        );
    }

    #[test]
    fn a_run_that_does_not_fit_is_not_tried_again() {
        let plan = plan(&engine(ErrorCode::Memory), GPU_RUN);
        assert_eq!((plan.next, plan.run), (Next::Start(DeviceChoice::Auto), NextRun::Drop));
    }

    #[test]
    fn a_crash_is_retried_once_for_a_run_and_three_times_in_a_row() {
        let cause = Cause::Worker(Fault::Silent(120));
        assert_eq!(plan(&cause, GPU_RUN).run, NextRun::Resume);
        let again = plan(&cause, Situation { run: RunState::Again, faults: 2, ..GPU_RUN });
        assert_eq!((again.next, again.run), (Next::Start(DeviceChoice::Auto), NextRun::Drop));
        let last = plan(&cause, Situation { run: RunState::None, faults: 4, ..GPU_RUN });
        assert_eq!(last.next, Next::Wait);
        assert_eq!(last.notice.action, crate::state::Action::Retry);
    }

    #[test]
    fn a_cpu_without_memory_asks_the_user() {
        let situation = Situation { used: Some(DeviceChoice::Cpu), run: RunState::None, ..GPU_RUN };
        assert_eq!(plan(&engine(ErrorCode::Memory), situation).next, Next::Wait);
    }
}
