//! Edges, bit for bit as OpenCV's `Canny` finds them with a 3 x 3 Sobel kernel and the sum of absolute slopes (Canny, 1986).

use super::grey;
use crate::picture::Picture;

/// The tangent of 22.5 degrees in fixed point, as OpenCV compares directions.
const TANGENT: i64 = 13_573;
const SHIFT: u32 = 15;

/// Slopes of one pixel, and their size.
#[derive(Debug, Clone, Copy, Default)]
struct Slope {
    x: i32,
    y: i32,
    size: i32,
}

/// Edges in white: those whose slope is above `high`, and those above `low` that hang together with one.
#[must_use]
pub fn canny(picture: &Picture, low: f64, high: f64) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let (low, high) = (low.min(high).floor() as i32, low.max(high).floor() as i32);
    let slopes: Vec<Slope> = (0..width * height).map(|at| slope(picture, at % width, at / width)).collect();
    let is_ridge: Vec<bool> =
        (0..width * height).map(|at| slopes[at].size > low && is_ridge(&slopes, [width, height], at)).collect();
    let mut edges = vec![false; width * height];
    let mut open: Vec<usize> = (0..edges.len()).filter(|&at| is_ridge[at] && slopes[at].size > high).collect();
    for &at in &open {
        edges[at] = true;
    }
    while let Some(at) = open.pop() {
        let (x, y) = (at % width, at / width);
        for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
            for x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                let next = y * width + x;
                if is_ridge[next] && !edges[next] {
                    edges[next] = true;
                    open.push(next);
                }
            }
        }
    }
    grey(edges.into_iter().map(|is_edge| if is_edge { 255 } else { 0 }), picture)
}

/// The slope of the colour that changes most; pixels beyond the edge are the edge's.
fn slope(picture: &Picture, x: usize, y: usize) -> Slope {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
    let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
    let mut steepest = Slope { size: -1, ..Slope::default() };
    for channel in 0..3 {
        let at =
            |column: usize, row: usize| i32::from(picture.rgb[3 * (rows[row] * width + columns[column]) + channel]);
        let across = |row| at(2, row) - at(0, row);
        let down = |column| at(column, 2) - at(column, 0);
        let (x, y) = (across(0) + 2 * across(1) + across(2), down(0) + 2 * down(1) + down(2));
        let size = x.abs() + y.abs();
        if size > steepest.size {
            steepest = Slope { x, y, size };
        }
    }
    steepest
}

/// Whether no neighbour in the slope's direction is steeper; beyond the edge all is flat.
fn is_ridge(slopes: &[Slope], [width, height]: [usize; 2], at: usize) -> bool {
    let (x, y) = ((at % width) as isize, (at / width) as isize);
    let size = |x: isize, y: isize| {
        let is_inside = (0..width as isize).contains(&x) && (0..height as isize).contains(&y);
        if is_inside { slopes[y as usize * width + x as usize].size } else { 0 }
    };
    let Slope { x: across, y: down, size: own } = slopes[at];
    let (wide, tall) = (i64::from(across.abs()), i64::from(down.abs()) << SHIFT);
    let flat = wide * TANGENT;
    if tall < flat {
        return own > size(x - 1, y) && own >= size(x + 1, y);
    }
    if tall > flat + (wide << (SHIFT + 1)) {
        return own > size(x, y - 1) && own >= size(x, y + 1);
    }
    let side = if (across < 0) == (down < 0) { 1 } else { -1 };
    own > size(x - side, y - 1) && own > size(x + side, y + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_has_its_outline() {
        let inside = |at: usize| (5..15).contains(&(at % 20)) && (5..15).contains(&(at / 20));
        let colour = |at: usize| if inside(at) { [220, 40, 90] } else { [20, 40, 90] };
        let picture = Picture { width: 20, height: 20, rgb: (0..400).flat_map(colour).collect() };
        let edges = canny(&picture, 100.0, 200.0);
        let white = edges.rgb.chunks_exact(3).filter(|pixel| pixel[0] == 255).count();
        assert_eq!(white, 36, "OpenCV finds as many");
        assert!(canny(&picture, 1300.0, 1300.0).rgb.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn pictures_of_one_pixel_have_none() {
        let picture = Picture { width: 1, height: 1, rgb: vec![200; 3] };
        assert_eq!(canny(&picture, 0.0, 0.0).rgb, [0; 3]);
    }
}
