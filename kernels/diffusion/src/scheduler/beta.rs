//! Quantiles of a beta distribution.

/// The regularised incomplete beta function by its continued fraction (Abramowitz and Stegun, 1964, 26.5.8).
fn cumulative(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return f64::from(u8::from(x >= 1.0));
    }
    // The fraction is quick on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - cumulative(1.0 - x, b, a);
    }
    let scale = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    scale.exp() / (a * fraction(x, a, b))
}

/// `1 + d1 / (1 + d2 / (1 + …))` from its far end: forty terms leave no error that a double can hold.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    (1..=80_u32).rev().fold(1.0, |rest, term| {
        let half = f64::from(term / 2);
        let numerator = if term % 2 == 0 {
            half * (b - half) * x / ((a + 2.0 * half - 1.0) * (a + 2.0 * half))
        } else {
            -(a + half) * (a + b + half) * x / ((a + 2.0 * half) * (a + 2.0 * half + 1.0))
        };
        1.0 + numerator / rest
    })
}

/// Below which value a share `probability` of a beta distribution lies.
pub(super) fn quantile(probability: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if cumulative(middle, a, b) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_equal_known_ones() {
        // With both parameters at a half the distribution is that of a sine's square.
        for share in [0.01, 0.2, 0.5, 0.77, 0.999] {
            let expected = (share * std::f64::consts::FRAC_PI_2).sin().powi(2);
            assert!((quantile(share, 0.5, 0.5) - expected).abs() < 1e-12, "{share}");
        }
        assert!(quantile(0.0, 0.6, 0.6).abs() < 1e-15 && (quantile(1.0, 0.6, 0.6) - 1.0).abs() < 1e-15);
        // `scipy.stats.beta.ppf`
        for (share, expected) in [(0.1, SCIPY[0]), (0.25, SCIPY[1]), (0.9, SCIPY[2])] {
            assert!((quantile(share, 0.6, 0.6) - expected).abs() < 1e-9, "{share}: {}", quantile(share, 0.6, 0.6));
        }
    }

    const SCIPY: [f64; 3] = [0.039_584_405_589, 0.175_680_378_653, 0.960_415_594_411];
}
