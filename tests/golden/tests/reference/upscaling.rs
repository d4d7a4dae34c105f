//! Upscalers under the names of all their files, and in tiles.

use anyhow::{Context as _, Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use diffusion::{
    picture::Picture,
    upscale::{LoadUpscalerError, UpscaleError, UpscaleTiles, Upscaler},
};
use golden::{Data, Tensors, to_safetensors, values};
use weights::SafetensorsFile;

const LARGE: &str = "models/tiny-upscalers/RealESRGAN_x4plus.safetensors";
const DOUBLING: &str = "models/tiny-upscalers/RealESRGAN_x2plus.safetensors";
const SMALL: &str = "models/tiny-upscalers/realesr-general-x4v3.safetensors";

fn load(tensors: &Tensors) -> Result<Upscaler, LoadUpscalerError> {
    let file = to_safetensors(tensors).and_then(|bytes| Ok(SafetensorsFile::open(bytes)?));
    Upscaler::load(&file.expect("the tensors were read from such a file"), &Device::flex(), false)
}

fn enlarged(upscaler: &Upscaler) -> Result<Vec<f32>> {
    let numbers = (0..3 * 9 * 7).map(|at| (at * 37 % 101) as f32 / 100.0).collect::<Vec<_>>();
    let image = Tensor::from_data(TensorData::new(numbers, [1, 3, 9, 7]), &Device::flex());
    pollster::block_on(values(upscaler.forward(image)))
}

/// The names that the two older kinds of files have.
fn renamed(name: &str, older: bool) -> Option<String> {
    let (layer, kind) = name.rsplit_once('.')?;
    let fixed = [
        ("conv_first", "conv_first", "model.0"),
        ("conv_body", "trunk_conv", "model.1.sub.2"),
        ("conv_up1", "upconv1", "model.3"),
        ("conv_up2", "upconv2", "model.6"),
        ("conv_hr", "HRconv", "model.8"),
        ("conv_last", "conv_last", "model.10"),
    ];
    let layer = if let Some((_, old, oldest)) = fixed.iter().find(|(new, ..)| *new == layer) {
        if older { oldest } else { old }.to_string()
    } else {
        let block = layer.strip_prefix("body.")?.replace("rdb", "RDB");
        if older { format!("model.1.sub.{block}.0") } else { format!("RRDB_trunk.{block}") }
    };
    Some(format!("{layer}.{kind}"))
}

#[test]
fn every_name_that_files_have_is_read() -> Result<()> {
    let published = Data::folder().tensors(LARGE)?;
    let expected = enlarged(&load(&published)?)?;
    let prefixed = |prefix: &str| {
        published.iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor.clone())).collect::<Tensors>()
    };
    let under = |older| {
        let names = published.iter().map(|(name, tensor)| Some((renamed(name, older)?, tensor.clone())));
        names.collect::<Option<Tensors>>().context("a tensor has no other name")
    };
    let mut both = prefixed("params_ema");
    both.extend(Data::folder().tensors(SMALL)?.into_iter().map(|(name, tensor)| (format!("params.{name}"), tensor)));
    for tensors in [prefixed("params"), both, under(false)?, under(true)?] {
        ensure!(enlarged(&load(&tensors)?)? == expected, "{:?}", tensors.keys().next());
    }
    Ok(())
}

#[test]
fn other_files_are_refused_with_what_they_have() -> Result<()> {
    let unet = Data::folder().tensors("models/tiny-sd15/unet/diffusion_pytorch_model.safetensors")?;
    let error = load(&unet).err().context("a denoiser is no upscaler")?.to_string();
    ensure!(error.contains("no upscaler that is known") && error.contains("conv_in.bias"), "{error}");
    let mut damaged = Data::folder().tensors(LARGE)?;
    damaged.remove("body.1.rdb2.conv3.weight");
    let error = load(&damaged).err().context("a tensor is missing")?;
    ensure!(matches!(error, LoadUpscalerError::Weights(_)), "{error}");
    Ok(())
}

fn picture(width: u32, height: u32) -> Picture {
    let pixel = |at: u32| {
        let (x, y) = (f64::from(at / 3 % width), f64::from(at / 3 / width));
        ((x * 0.31 + f64::from(at % 3)).sin() * 60.0 + (y * 0.23).cos() * 60.0 + 128.0) as u8
    };
    Picture { width, height, rgb: (0..3 * width * height).map(pixel).collect() }
}

fn in_tiles(upscaler: &Upscaler, picture: &Picture, tile: usize, overlap: usize) -> Result<Picture> {
    Ok(pollster::block_on(upscaler.upscale(picture, UpscaleTiles { tile, overlap }, |_, _| true))?)
}

/// The largest and the mean difference of two pictures, in levels.
fn difference(one: &Picture, other: &Picture) -> (u8, f64) {
    let each = one.rgb.iter().zip(&other.rgb).map(|(one, other)| one.abs_diff(*other));
    let mean = each.clone().map(f64::from).sum::<f64>() / one.rgb.len() as f64;
    (each.max().unwrap_or(0), mean)
}

#[test]
fn tiles_whose_overlap_covers_what_a_pixel_sees_leave_no_trace() -> Result<()> {
    // Six convolutions: a pixel sees six pixels around it, and a quarter of the overlap is eight.
    let upscaler = load(&Data::folder().tensors(SMALL)?)?;
    for (width, height) in [(101, 70), (64, 65), (33, 200), (5, 3)] {
        let picture = picture(width, height);
        let whole = in_tiles(&upscaler, &picture, 512, 32)?;
        ensure!((whole.width, whole.height) == (4 * width, 4 * height), "{} x {}", whole.width, whole.height);
        let (worst, _) = difference(&whole, &in_tiles(&upscaler, &picture, 64, 32)?);
        ensure!(worst <= 1, "{width} x {height} is off by {worst}");
    }
    Ok(())
}

#[test]
fn tiles_that_see_less_go_over_into_each_other() -> Result<()> {
    for (file, scale) in [(LARGE, 4), (DOUBLING, 2)] {
        let upscaler = load(&Data::folder().tensors(file)?)?;
        let picture = picture(91, 53);
        let whole = in_tiles(&upscaler, &picture, 512, 32)?;
        let tiled = in_tiles(&upscaler, &picture, 48, 16)?;
        ensure!((tiled.width, tiled.height) == (91 * scale, 53 * scale), "{} x {}", tiled.width, tiled.height);
        let (worst, mean) = difference(&whole, &tiled);
        println!("{file}: {worst} at most, {mean:.4} in the mean");
        ensure!(mean < 0.5 && worst < 16, "{file}: {worst} at most, {mean} in the mean");
    }
    Ok(())
}

#[test]
fn a_run_that_is_asked_to_stop_stops() -> Result<()> {
    let upscaler = load(&Data::folder().tensors(SMALL)?)?;
    let mut seen = Vec::new();
    let stopping = |done, of| {
        seen.push((done, of));
        done < 2
    };
    let tiles = UpscaleTiles { tile: 32, overlap: 8 };
    let error = pollster::block_on(upscaler.upscale(&picture(80, 40), tiles, stopping)).err();
    ensure!(matches!(error, Some(UpscaleError::Cancelled)), "{error:?}");
    ensure!(seen == [(0, 6), (1, 6), (2, 6)], "{seen:?}");
    Ok(())
}
