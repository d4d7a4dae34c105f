//! The service's names of schedulers, which are diffusers' with two of its own spellings.

use crate::fields::FieldProblem;
use spec::{SchedulerKind, SigmaSpacing, Solver};

/// Every name that clients may send, in the order of the service's own list.
pub const NAMES: [&str; 18] = [
    "DDPMScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "DPMSolverSinglestepScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "UniPCMultistepScheduler",
    "DDIMInverseScheduler",
    "DEISMultistepScheduler",
    "IPNDMScheduler",
    "KarrasVeScheduler",
    "ScoreSdeVeScheduler",
    "LCMScheduler",
];

/// The names that an enterprise server lists: all but the last, which came later.
pub fn enterprise_names() -> &'static [&'static str] {
    &NAMES[..17]
}

/// The service's name of a scheduler that runs, whether its noise levels are Karras', and its algorithm.
pub const fn name(kind: SchedulerKind) -> (&'static str, bool, &'static str) {
    let algorithm = match kind.solver() {
        Solver::DpmPlusPlus2MSde | Solver::DpmPlusPlus2MSdeHeun | Solver::DpmPlusPlus3MSde => STOCHASTIC,
        _ => "no",
    };
    (kind.diffusers_class(), matches!(kind.spacing(), SigmaSpacing::Karras), algorithm)
}

/// The service's name of the multistep solver's stochastic algorithm, three plus signs and all.
const STOCHASTIC: &str = "dpmsolver+++";

/// What `algorithm_type` says; nothing for a word that is not known.
pub fn algorithm(text: &str) -> Option<Algorithm> {
    match text {
        "no" | "none" | "null" | "false" | "dpmsolver++" => Some(Algorithm::Deterministic),
        STOCHASTIC | "sde-dpmsolver++" => Some(Algorithm::Stochastic),
        _ => None,
    }
}

/// Which equation the multistep solver solves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// That of the probability flow.
    #[default]
    Deterministic,
    /// The one with fresh noise at every step.
    Stochastic,
}

/// Whether diffusers' class of a solver has Karras' noise levels, which the service uses when nothing is said.
const fn has_karras(solver: Solver) -> bool {
    !matches!(solver, Solver::EulerAncestral | Solver::Ipndm)
}

/// The scheduler that runs for a name.
///
/// Karras spacing is used where the scheduler has it and the client asks for it, the algorithm by the multistep solver alone.
///
/// # Errors
/// [`FieldProblem::Unknown`] for a name that is not in [`NAMES`], [`FieldProblem::Unavailable`] for one that makes no pictures with
/// such models: `DDIMInverseScheduler` turns pictures back into noise, `KarrasVeScheduler` and `ScoreSdeVeScheduler` belong to
/// models whose samples have noise without bound.
pub fn kind(name: &str, use_karras_sigmas: bool, algorithm: Algorithm) -> Result<SchedulerKind, FieldProblem> {
    if !NAMES.contains(&name) && name != "DEIS" {
        return Err(FieldProblem::Unknown(NAMES.join(", ")));
    }
    let solver = name.parse::<SchedulerKind>().map_err(|_| FieldProblem::Unavailable)?.solver();
    let solver = match (solver, algorithm) {
        (Solver::DpmPlusPlus2M, Algorithm::Stochastic) => Solver::DpmPlusPlus2MSde,
        _ => solver,
    };
    let is_karras = use_karras_sigmas && has_karras(solver);
    Ok(SchedulerKind::new(solver, if is_karras { SigmaSpacing::Karras } else { SigmaSpacing::Default }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_runs_its_own_scheduler_or_none() {
        let expected = [
            "ddpm", "ddim", "pndm", "lms", "euler", "euler-a", "dpmpp-2m", "heun", "dpm2", "dpmpp-2s", "dpm2-a",
            "unipc", "", "deis", "ipndm", "", "", "lcm",
        ];
        for (name, expected) in NAMES.into_iter().zip(expected) {
            match kind(name, false, Algorithm::Deterministic) {
                Ok(kind) => {
                    assert_eq!(kind.to_string(), expected, "{name}");
                    assert_eq!(self::name(kind), (name, false, "no"));
                }
                Err(problem) => assert_eq!((problem, expected), (FieldProblem::Unavailable, ""), "{name}"),
            }
        }
        assert_eq!(enterprise_names().len(), 17);
        assert!(!enterprise_names().contains(&"LCMScheduler"));
        assert!(matches!(kind("euler", true, Algorithm::Deterministic), Err(FieldProblem::Unknown(_))));
    }

    /// The service's own table of web UIs' samplers, of which some rows share one of its schedulers.
    #[test]
    fn the_services_table_of_web_ui_samplers_holds() {
        for (sampler, name, karras, algorithm) in [
            ("DPM++ 2M", "DPMSolverMultistepScheduler", false, "none"),
            ("DPM++ 2M Karras", "DPMSolverMultistepScheduler", true, "none"),
            ("DPM++ 2M SDE", "DPMSolverMultistepScheduler", false, "dpmsolver+++"),
            ("DPM++ 2M SDE Karras", "DPMSolverMultistepScheduler", true, "dpmsolver+++"),
            ("DPM2", "KDPM2DiscreteScheduler", false, "none"),
            ("DPM2 Karras", "KDPM2DiscreteScheduler", true, "none"),
            ("DPM2 a", "KDPM2AncestralDiscreteScheduler", false, "none"),
            ("DPM2 a Karras", "KDPM2AncestralDiscreteScheduler", true, "none"),
            ("Euler", "EulerDiscreteScheduler", false, "none"),
            ("Euler a", "EulerAncestralDiscreteScheduler", true, "none"),
            ("Heun", "HeunDiscreteScheduler", false, "none"),
            ("LMS", "LMSDiscreteScheduler", false, "none"),
            ("LMS Karras", "LMSDiscreteScheduler", true, "none"),
            ("DEIS", "DEIS", false, "none"),
            ("DEIS", "DEISMultistepScheduler", false, "none"),
            ("UniPC", "UniPCMultistepScheduler", false, "none"),
            ("LCM", "LCMScheduler", true, "none"),
        ] {
            let algorithm = super::algorithm(algorithm).expect("a known algorithm");
            assert_eq!(kind(name, karras, algorithm).ok(), sampler.parse().ok(), "{sampler}");
        }
    }
}
