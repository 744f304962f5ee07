//! Whether something grows: the slope of a series of measurements, and how sure it is.

/// The slope of a series by Theil and Sen: the median of the slopes between any two of its points, which a few outliers do
/// not move; with an interval around it by Sen (1968), in which it lies with 95 % probability when measurements are independent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    /// The middle of the measured values.
    pub(crate) median: f64,
    /// Per hour, in percent of the median.
    pub(crate) percent_per_hour: f64,
    /// The lower end of the interval, likewise.
    pub(crate) at_least: f64,
}

/// The trend of `(seconds, value)`; `None` with fewer than ten points.
pub(crate) fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let count = points.len();
    if count < 10 {
        return None;
    }
    let mut slopes: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(i, (x, y))| points[i + 1..].iter().map(move |(u, v)| (v - y) / (u - x)))
        .collect();
    slopes.sort_unstable_by(f64::total_cmp);
    let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_unstable_by(f64::total_cmp);
    let n = count as f64;
    // Variance of Kendall's statistic; 1.96 standard deviations are 95 %.
    let spread = 1.96 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let low = ((slopes.len() as f64 - spread) / 2.0).max(0.0) as usize;
    let median = values[count / 2];
    let percent = |slope: f64| match median {
        0.0 => slope * 3600.0 * 100.0,
        median => slope * 3600.0 / median * 100.0,
    };
    Some(Trend {
        median,
        percent_per_hour: percent(slopes[slopes.len() / 2]),
        at_least: percent(slopes[low.min(slopes.len() - 1)]),
    })
}

/// Means over spans of so many seconds: neighbours in time resemble each other, and the interval of a trend would be too sure.
pub(crate) fn means(points: &[(f64, f64)], span: f64) -> Vec<(f64, f64)> {
    points
        .chunk_by(|(a, _), (b, _)| (a / span).floor() == (b / span).floor())
        .map(|chunk| {
            let count = chunk.len() as f64;
            let sum = |of: fn(&(f64, f64)) -> f64| chunk.iter().map(of).sum::<f64>() / count;
            (sum(|p| p.0), sum(|p| p.1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -0.5 and 0.5 that look random and are the same each time.
    fn noise(i: u32) -> f64 {
        f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24) - 0.5
    }

    fn series(per_hour: f64) -> Vec<(f64, f64)> {
        (0..200_u32)
            .map(|i| {
                let at = f64::from(i) * 5.0;
                (at, 100.0 + per_hour * at / 3600.0 + noise(i))
            })
            .collect()
    }

    #[test]
    fn a_leak_is_told_from_noise() {
        let leak = trend(&series(20.0)).unwrap();
        assert!((leak.percent_per_hour - 20.0).abs() < 2.0, "{leak:?}");
        assert!(leak.at_least > 10.0, "{leak:?}");
        let steady = trend(&series(0.0)).unwrap();
        assert!(steady.at_least < 0.5, "{steady:?}");
        let shrinking = trend(&series(-20.0)).unwrap();
        assert!(shrinking.at_least < 0.0, "{shrinking:?}");
    }

    #[test]
    fn one_outlier_is_no_leak() {
        let mut series = series(0.0);
        series[150].1 = 1e6;
        assert!(trend(&series).unwrap().at_least < 0.5);
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(trend(&series(1.0)[..9]), None);
    }

    #[test]
    fn means_are_taken_over_spans() {
        let points = [(0.0, 1.0), (5.0, 3.0), (10.0, 10.0)];
        assert_eq!(means(&points, 10.0), [(2.5, 2.0), (10.0, 10.0)]);
    }
}
