//! A scheduler by name.

use super::{
    SigmaSpacing, Solver,
    names::{self, Row},
};
use crate::SpecError;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};

/// A solver and the noise levels it visits; its word is `SOLVER` or `SOLVER-SPACING`.
///
/// Many names are read: these words, diffusers' classes, web UIs' samplers with and without a schedule type, and hosted
/// services' constants, in any case and with any of `-`, `_` and spaces between their parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SchedulerKind {
    solver: Solver,
    spacing: SigmaSpacing,
}

const fn pair(solver: Solver, spacing: SigmaSpacing) -> SchedulerKind {
    SchedulerKind { solver, spacing }
}

impl SchedulerKind {
    /// What a menu shows: every solver, and the spacings that people use it with.
    pub const ALL: &[Self] = &[
        pair(Solver::Ddim, SigmaSpacing::Default),
        pair(Solver::Euler, SigmaSpacing::Default),
        pair(Solver::Euler, SigmaSpacing::Karras),
        pair(Solver::EulerAncestral, SigmaSpacing::Default),
        pair(Solver::DpmPlusPlus2M, SigmaSpacing::Default),
        pair(Solver::DpmPlusPlus2M, SigmaSpacing::Karras),
        pair(Solver::DpmPlusPlus2M, SigmaSpacing::SgmUniform),
        pair(Solver::DpmPlusPlus2MSde, SigmaSpacing::Default),
        pair(Solver::DpmPlusPlus2MSde, SigmaSpacing::Karras),
        pair(Solver::DpmPlusPlus2MSde, SigmaSpacing::Exponential),
        pair(Solver::DpmPlusPlus2MSdeHeun, SigmaSpacing::Exponential),
        pair(Solver::DpmPlusPlus3MSde, SigmaSpacing::Exponential),
        pair(Solver::DpmPlusPlus2S, SigmaSpacing::Default),
        pair(Solver::DpmPlusPlus2S, SigmaSpacing::Karras),
        pair(Solver::DpmPlusPlus2SAncestral, SigmaSpacing::Default),
        pair(Solver::DpmPlusPlus2SAncestral, SigmaSpacing::Karras),
        pair(Solver::DpmPlusPlusSde, SigmaSpacing::Default),
        pair(Solver::DpmPlusPlusSde, SigmaSpacing::Karras),
        pair(Solver::UniPc, SigmaSpacing::Default),
        pair(Solver::UniPc, SigmaSpacing::Karras),
        pair(Solver::Deis, SigmaSpacing::Default),
        pair(Solver::Heun, SigmaSpacing::Default),
        pair(Solver::Heun, SigmaSpacing::Karras),
        pair(Solver::Dpm2, SigmaSpacing::Default),
        pair(Solver::Dpm2, SigmaSpacing::Karras),
        pair(Solver::Dpm2Ancestral, SigmaSpacing::Default),
        pair(Solver::Dpm2Ancestral, SigmaSpacing::Karras),
        pair(Solver::Lms, SigmaSpacing::Default),
        pair(Solver::Lms, SigmaSpacing::Karras),
        pair(Solver::Pndm, SigmaSpacing::Default),
        pair(Solver::Ipndm, SigmaSpacing::Default),
        pair(Solver::Ddpm, SigmaSpacing::Default),
        pair(Solver::Lcm, SigmaSpacing::Default),
        pair(Solver::Tcd, SigmaSpacing::Default),
        pair(Solver::FlowEuler, SigmaSpacing::Default),
    ];

    /// A solver at a spacing where it has that, and at its own where it does not.
    pub fn new(solver: Solver, spacing: SigmaSpacing) -> Self {
        let known = solver.spacings().contains(&spacing);
        Self { solver, spacing: if known { spacing } else { SigmaSpacing::Default } }
    }

    /// Every pair that there is, those of no menu too.
    pub fn every() -> impl Iterator<Item = Self> {
        Solver::ALL.iter().flat_map(|&solver| solver.spacings().iter().map(move |&spacing| pair(solver, spacing)))
    }

    /// What takes the noise away.
    pub const fn solver(self) -> Solver {
        self.solver
    }

    /// At which noise levels.
    pub const fn spacing(self) -> SigmaSpacing {
        self.spacing
    }

    /// Whether steps draw fresh noise, so that the whole noise stream matters and not the first draw alone.
    pub const fn is_ancestral(self) -> bool {
        self.solver.is_ancestral()
    }

    /// The name that web UIs write into a picture's parameters; it reads back as this scheduler.
    pub fn infotext_name(self) -> String {
        let label = names::row(self.solver).label;
        match self.spacing {
            SigmaSpacing::Default => label.to_owned(),
            spacing => format!("{label} {}", names::spacing_label(spacing)),
        }
    }

    /// The class that diffusers has for the solver; several solvers may share one, told apart by its options.
    pub const fn diffusers_class(self) -> &'static str {
        names::row(self.solver).class
    }

    /// The scheduler of a web UI's sampler and, in newer ones, schedule type, of which `Automatic` is the sampler's own.
    ///
    /// # Errors
    /// [`SpecError::Unknown`] for a name that is not known, listing those that are.
    pub fn from_web_ui(sampler: &str, schedule_type: Option<&str>) -> Result<Self, SpecError> {
        let named: Self = sampler.parse()?;
        let Some(schedule_type) = schedule_type else { return Ok(named) };
        let spacing = if names::key(schedule_type) == "automatic" {
            names::row(named.solver).automatic
        } else {
            names::spacing(schedule_type).ok_or_else(|| SpecError::Unknown {
                name: "schedule type",
                found: schedule_type.to_owned(),
                allowed: names::spacing_labels(),
            })?
        };
        Ok(Self::new(named.solver, spacing))
    }
}

impl From<Solver> for SchedulerKind {
    fn from(solver: Solver) -> Self {
        pair(solver, SigmaSpacing::Default)
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spacing {
            SigmaSpacing::Default => f.pad(self.solver.as_str()),
            spacing => write!(f, "{}-{spacing}", self.solver),
        }
    }
}

impl FromStr for SchedulerKind {
    type Err = SpecError;

    fn from_str(name: &str) -> Result<Self, SpecError> {
        let key = names::key(name);
        let of_row = |row: &Row| {
            row.keys().find_map(|own| {
                let rest = key.strip_prefix(&*own)?;
                let spacing = if rest.is_empty() { SigmaSpacing::Default } else { names::spacing(rest)? };
                row.solver.spacings().contains(&spacing).then_some(pair(row.solver, spacing))
            })
        };
        names::ROWS.iter().find_map(of_row).ok_or_else(|| SpecError::Unknown {
            name: "scheduler",
            found: name.to_owned(),
            allowed: Self::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Serialize for SchedulerKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SchedulerKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> SchedulerKind {
        name.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_pair_reads_back_from_its_word_and_from_the_name_in_a_picture() {
        for kind in SchedulerKind::every() {
            assert_eq!(kind.to_string().parse(), Ok(kind), "{kind}");
            assert_eq!(kind.infotext_name().parse(), Ok(kind), "{}", kind.infotext_name());
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<SchedulerKind>(&json).unwrap(), kind);
        }
        assert!(SchedulerKind::ALL.iter().all(|listed| SchedulerKind::every().any(|kind| kind == *listed)));
        assert!(Solver::ALL.iter().all(|solver| SchedulerKind::ALL.iter().any(|kind| kind.solver == *solver)));
    }

    #[test]
    fn the_first_six_words_stay() {
        use SigmaSpacing::{Default, Karras};
        for (word, solver, spacing, label) in [
            ("ddim", Solver::Ddim, Default, "DDIM"),
            ("euler", Solver::Euler, Default, "Euler"),
            ("euler-karras", Solver::Euler, Karras, "Euler Karras"),
            ("euler-a", Solver::EulerAncestral, Default, "Euler a"),
            ("dpmpp-2m", Solver::DpmPlusPlus2M, Default, "DPM++ 2M"),
            ("dpmpp-2m-karras", Solver::DpmPlusPlus2M, Karras, "DPM++ 2M Karras"),
        ] {
            assert_eq!(kind(word), pair(solver, spacing));
            assert_eq!((kind(word).to_string().as_str(), kind(word).infotext_name().as_str()), (word, label));
        }
    }

    #[test]
    fn unknown_names_and_pairs_that_do_not_go_together_list_what_is_allowed() {
        for name in ["DPM adaptive", "ddim-karras", "lcm karras", "", "karras", "KarrasVeScheduler"] {
            let error = name.parse::<SchedulerKind>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")) && error.contains("dpmpp-2m-karras"), "{error}");
        }
        let error = SchedulerKind::from_web_ui("Euler", Some("Align Your Steps")).unwrap_err().to_string();
        assert!(error.contains("SGM Uniform"), "{error}");
    }

    #[test]
    fn samplers_go_with_schedule_types() {
        let of = |sampler, schedule| SchedulerKind::from_web_ui(sampler, schedule).map(|kind| kind.to_string());
        assert_eq!(of("DPM++ 2M", Some("Karras")).as_deref(), Ok("dpmpp-2m-karras"));
        assert_eq!(of("DPM++ 2M Karras", None).as_deref(), Ok("dpmpp-2m-karras"));
        assert_eq!(of("DPM++ 2M", None).as_deref(), Ok("dpmpp-2m"));
        assert_eq!(of("DPM++ 2M", Some("Automatic")).as_deref(), Ok("dpmpp-2m-karras"));
        assert_eq!(of("DPM++ 2M SDE", Some("Automatic")).as_deref(), Ok("dpmpp-2m-sde-exponential"));
        assert_eq!(of("Euler a", Some("Automatic")).as_deref(), Ok("euler-a"));
        assert_eq!(of("Euler", Some("SGMUniform")).as_deref(), Ok("euler-sgm-uniform"));
        assert_eq!(of("Euler", Some("polyexponential")).as_deref(), Ok("euler-exponential"));
        assert_eq!(of("DDIM", Some("Karras")).as_deref(), Ok("ddim"), "a sampler along timesteps has no such levels");
    }
}
