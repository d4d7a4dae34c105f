//! One table of all the names that people use for schedulers.

use super::{
    SigmaSpacing::{self, Default, Exponential, Karras},
    Solver,
};

/// The names of a solver.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) solver: Solver,
    /// What web UIs show.
    pub(super) label: &'static str,
    /// diffusers' class; of several solvers with one class the first is that of its defaults.
    pub(super) class: &'static str,
    /// Web UIs' short names, hosted services' constants and whatever else is in use.
    others: &'static [&'static str],
    /// The noise levels that a web UI takes for its schedule type `Automatic`.
    pub(super) automatic: SigmaSpacing,
}

impl Row {
    /// Every name, as [`key`] makes it.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        let own = [self.solver.as_str(), self.label, self.class];
        own.into_iter().chain(self.others.iter().copied()).map(key)
    }
}

const fn new(
    solver: Solver,
    label: &'static str,
    class: &'static str,
    others: &'static [&'static str],
    automatic: SigmaSpacing,
) -> Row {
    Row { solver, label, class, others, automatic }
}

const MULTISTEP: &str = "DPMSolverMultistepScheduler";

/// In the order of [`Solver::ALL`].
pub(super) const ROWS: &[Row] = &[
    new(Solver::Ddim, "DDIM", "DDIMScheduler", &["k_ddim"], Default),
    new(Solver::Euler, "Euler", "EulerDiscreteScheduler", &["k_euler"], Default),
    new(
        Solver::EulerAncestral,
        "Euler a",
        "EulerAncestralDiscreteScheduler",
        &["k_euler_a", "k_euler_ancestral", "euler_ancestral"],
        Default,
    ),
    new(Solver::DpmPlusPlus2M, "DPM++ 2M", MULTISTEP, &["k_dpmpp_2m", "DPMSolverMultistep"], Karras),
    new(Solver::DpmPlusPlus2MSde, "DPM++ 2M SDE", MULTISTEP, &["k_dpmpp_2m_sde", "dpmpp_2m_sde_gpu"], Exponential),
    new(Solver::DpmPlusPlus2MSdeHeun, "DPM++ 2M SDE Heun", MULTISTEP, &["k_dpmpp_2m_sde_heun"], Exponential),
    new(Solver::DpmPlusPlus3MSde, "DPM++ 3M SDE", MULTISTEP, &["k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"], Exponential),
    new(Solver::DpmPlusPlus2S, "DPM++ 2S", "DPMSolverSinglestepScheduler", &["k_dpmpp_2s"], Karras),
    new(
        Solver::DpmPlusPlus2SAncestral,
        "DPM++ 2S a",
        "DPMSolverSinglestepScheduler",
        &["k_dpmpp_2s_a", "k_dpmpp_2s_ancestral", "dpmpp_2s_ancestral"],
        Karras,
    ),
    new(Solver::DpmPlusPlusSde, "DPM++ SDE", "DPMSolverSDEScheduler", &["k_dpmpp_sde", "dpmpp_sde_gpu"], Karras),
    new(Solver::UniPc, "UniPC", "UniPCMultistepScheduler", &["uni_pc", "uni_pc_bh2", "k_unipc"], Default),
    new(Solver::Deis, "DEIS", "DEISMultistepScheduler", &["k_deis"], Default),
    new(Solver::Heun, "Heun", "HeunDiscreteScheduler", &["k_heun"], Default),
    new(Solver::Dpm2, "DPM2", "KDPM2DiscreteScheduler", &["k_dpm_2", "dpm_2"], Karras),
    new(
        Solver::Dpm2Ancestral,
        "DPM2 a",
        "KDPM2AncestralDiscreteScheduler",
        &["k_dpm_2_a", "k_dpm_2_ancestral", "dpm_2_ancestral"],
        Karras,
    ),
    new(Solver::Lms, "LMS", "LMSDiscreteScheduler", &["k_lms"], Default),
    new(Solver::Pndm, "PLMS", "PNDMScheduler", &["k_plms"], Default),
    new(Solver::Ipndm, "iPNDM", "IPNDMScheduler", &[], Default),
    new(Solver::Ddpm, "DDPM", "DDPMScheduler", &["k_ddpm"], Default),
    new(Solver::Lcm, "LCM", "LCMScheduler", &["k_lcm"], Default),
    new(Solver::Tcd, "TCD", "TCDScheduler", &["k_tcd"], Default),
    new(
        Solver::FlowEuler,
        "Flow Euler",
        "FlowMatchEulerDiscreteScheduler",
        &["flow_match_euler", "FlowMatchEuler"],
        Default,
    ),
];

/// The names of a solver.
pub(super) const fn row(solver: Solver) -> &'static Row {
    &ROWS[solver as usize]
}

/// What is left of a name when case and separators do not count.
pub(super) fn key(name: &str) -> String {
    name.replace("++", "pp").chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Web UIs' labels of spacings, in the order of [`SigmaSpacing::ALL`].
const SPACINGS: [(SigmaSpacing, &str, &[&str]); 10] = [
    (Default, "Default", &[]),
    (Karras, "Karras", &[]),
    // A polynomial of first degree in the logarithm is a straight line.
    (Exponential, "Exponential", &["Polyexponential"]),
    (SigmaSpacing::Beta, "Beta", &[]),
    (SigmaSpacing::Lu, "Lu", &[]),
    (SigmaSpacing::SgmUniform, "SGM Uniform", &[]),
    (SigmaSpacing::Uniform, "Uniform", &["Normal"]),
    (SigmaSpacing::Simple, "Simple", &[]),
    (SigmaSpacing::DdimUniform, "DDIM Uniform", &["DDIM"]),
    (SigmaSpacing::KlOptimal, "KL Optimal", &[]),
];

/// What web UIs call a spacing.
pub(super) const fn spacing_label(spacing: SigmaSpacing) -> &'static str {
    SPACINGS[spacing as usize].1
}

/// Every label, for an error.
pub(super) fn spacing_labels() -> String {
    std::iter::once("Automatic").chain(SPACINGS.iter().map(|row| row.1)).collect::<Vec<_>>().join(", ")
}

/// The spacing of any of its names.
pub(super) fn spacing(name: &str) -> Option<SigmaSpacing> {
    let name = key(name);
    SPACINGS.iter().find_map(|(spacing, label, others)| {
        std::iter::once(label).chain(others.iter()).any(|other| key(other) == name).then_some(*spacing)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::SchedulerKind, *};

    fn word(name: &str) -> String {
        name.parse::<SchedulerKind>().map_or_else(|error| error.to_string(), |kind| kind.to_string())
    }

    #[test]
    fn the_tables_are_in_the_order_of_what_they_name() {
        assert!(Solver::ALL.iter().all(|&solver| row(solver).solver == solver));
        assert_eq!(ROWS.len(), Solver::ALL.len());
        for (&spacing, (of, label, _)) in SigmaSpacing::ALL.iter().zip(SPACINGS) {
            assert_eq!(spacing, of);
            assert_eq!(super::spacing(label), super::spacing(spacing.as_str()), "{label}");
        }
    }

    #[test]
    fn no_name_means_two_schedulers() {
        for row in ROWS {
            for name in row.keys().filter(|name| *name != key(MULTISTEP) && !name.contains("singlestep")) {
                assert_eq!(word(&name), row.solver.as_str(), "{name}");
            }
        }
    }

    /// `sampler_name` of web UIs before they split off the schedule type, with their short names; and all that had a
    /// Karras form.
    #[test]
    fn web_ui_samplers_are_known() {
        for (name, short, expected) in [
            ("Euler a", "k_euler_a", "euler-a"),
            ("Euler a", "k_euler_ancestral", "euler-a"),
            ("Euler", "k_euler", "euler"),
            ("LMS", "k_lms", "lms"),
            ("Heun", "k_heun", "heun"),
            ("DPM2", "k_dpm_2", "dpm2"),
            ("DPM2 a", "k_dpm_2_a", "dpm2-a"),
            ("DPM++ 2S a", "k_dpmpp_2s_a", "dpmpp-2s-a"),
            ("DPM++ 2M", "k_dpmpp_2m", "dpmpp-2m"),
            ("DPM++ SDE", "k_dpmpp_sde", "dpmpp-sde"),
            ("DPM++ 2M SDE", "k_dpmpp_2m_sde", "dpmpp-2m-sde"),
            ("DPM++ 2M SDE Heun", "k_dpmpp_2m_sde_heun", "dpmpp-2m-sde-heun"),
            ("DPM++ 3M SDE", "k_dpmpp_3m_sde", "dpmpp-3m-sde"),
            ("DDIM", "ddim", "ddim"),
            ("PLMS", "plms", "pndm"),
            ("UniPC", "unipc", "unipc"),
            ("LCM", "lcm", "lcm"),
        ] {
            assert_eq!((word(name).as_str(), word(short).as_str()), (expected, expected));
            assert_eq!(word(&name.to_uppercase()), expected);
        }
        for name in ["LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE"] {
            assert_eq!(word(&format!("{name} Karras")), format!("{}-karras", word(name)));
        }
    }

    #[test]
    fn web_ui_schedule_types_are_known_by_name_and_label() {
        for (name, label, expected) in [
            ("uniform", "Uniform", SigmaSpacing::Uniform),
            ("karras", "Karras", Karras),
            ("exponential", "Exponential", Exponential),
            ("polyexponential", "Polyexponential", Exponential),
            ("sgm_uniform", "SGM Uniform", SigmaSpacing::SgmUniform),
            ("SGMUniform", "SGMUniform", SigmaSpacing::SgmUniform),
            ("kl_optimal", "KL Optimal", SigmaSpacing::KlOptimal),
            ("simple", "Simple", SigmaSpacing::Simple),
            ("normal", "Normal", SigmaSpacing::Uniform),
            ("ddim", "DDIM", SigmaSpacing::DdimUniform),
            ("beta", "Beta", SigmaSpacing::Beta),
        ] {
            assert_eq!((spacing(name), spacing(label)), (Some(expected), Some(expected)));
        }
    }

    /// Stability's `sampler` of its first API.
    #[test]
    fn stability_samplers_are_known() {
        for (name, expected) in [
            ("DDIM", "ddim"),
            ("DDPM", "ddpm"),
            ("K_DPMPP_2M", "dpmpp-2m"),
            ("K_DPMPP_2S_ANCESTRAL", "dpmpp-2s-a"),
            ("K_DPM_2", "dpm2"),
            ("K_DPM_2_ANCESTRAL", "dpm2-a"),
            ("K_EULER", "euler"),
            ("K_EULER_ANCESTRAL", "euler-a"),
            ("K_HEUN", "heun"),
            ("K_LMS", "lms"),
        ] {
            assert_eq!(word(name), expected);
            assert_eq!(word(&name.to_lowercase()), expected);
        }
    }
}
