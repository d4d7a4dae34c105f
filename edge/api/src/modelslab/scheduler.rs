//! The service's names of schedulers, which are diffusers' with two of its own spellings.

use crate::fields::FieldProblem;
use spec::SchedulerKind;

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

/// The service's name of a scheduler that runs, and whether its noise levels are Karras'.
pub const fn name(kind: SchedulerKind) -> (&'static str, bool) {
    match kind {
        SchedulerKind::Ddim => ("DDIMScheduler", false),
        SchedulerKind::Euler => ("EulerDiscreteScheduler", false),
        SchedulerKind::EulerKarras => ("EulerDiscreteScheduler", true),
        SchedulerKind::EulerAncestral => ("EulerAncestralDiscreteScheduler", false),
        SchedulerKind::DpmPlusPlus2M => ("DPMSolverMultistepScheduler", false),
        SchedulerKind::DpmPlusPlus2MKarras => ("DPMSolverMultistepScheduler", true),
    }
}

/// The scheduler that runs for a name; the service's own substitutions hold for those that are near another.
///
/// Karras spacing is used where the scheduler has it and the client asks for it.
///
/// # Errors
/// [`FieldProblem::Unknown`] for a name that is not in [`NAMES`], [`FieldProblem::Unavailable`] for one that no scheduler here
/// stands in for.
pub fn kind(name: &str, use_karras_sigmas: bool) -> Result<SchedulerKind, FieldProblem> {
    let karras = |plain, karras| if use_karras_sigmas { karras } else { plain };
    match name {
        "DDIMScheduler" => Ok(SchedulerKind::Ddim),
        "EulerDiscreteScheduler" => Ok(karras(SchedulerKind::Euler, SchedulerKind::EulerKarras)),
        "EulerAncestralDiscreteScheduler" => Ok(SchedulerKind::EulerAncestral),
        // Multistep solvers of second order that need as many steps for the same picture.
        "DPMSolverMultistepScheduler" | "UniPCMultistepScheduler" | "DEISMultistepScheduler" | "DEIS" => {
            Ok(karras(SchedulerKind::DpmPlusPlus2M, SchedulerKind::DpmPlusPlus2MKarras))
        }
        name if NAMES.contains(&name) => Err(FieldProblem::Unavailable),
        _ => Err(FieldProblem::Unknown(NAMES.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_has_a_name_that_runs_it() {
        for &kind in SchedulerKind::ALL {
            let (name, karras) = name(kind);
            assert_eq!(self::kind(name, karras), Ok(kind), "{name}");
        }
        assert_eq!(enterprise_names().len(), 17);
        assert!(!enterprise_names().contains(&"LCMScheduler"));
        assert_eq!(kind("DEIS", false), kind("DEISMultistepScheduler", false));
    }
}
