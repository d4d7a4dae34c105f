//! Cases of what is done to pictures before and after a run.

use crate::{
    Comparison,
    cases::Bench,
    compare,
    tensors::{numbers, tensor},
};
use anyhow::{Context as _, Result, bail};
use diffusion::{
    inpaint::{Mask, fill},
    picture::Picture,
    preprocess::{Depth, LineArt, canny},
    resample::{Filter, resize},
};

/// Bytes may be off by one where the reference rounds between its passes.
const ROUNDED: f64 = 0.01;
/// The reference's blurs round colours of what is hardly known.
const FILLED: f64 = 0.03;

impl Bench<'_> {
    pub(crate) async fn line_art(&self, weights: &str) -> Result<Vec<Comparison>> {
        let net = LineArt::load(&*self.data.component(weights)?.source, self.device)?;
        let output = net.forward(tensor(&self.recorded, "image", self.device)?);
        Ok(vec![compare(output, &self.recorded, "out", self.tolerance).await?])
    }

    pub(crate) async fn depth(&self, folder: &str) -> Result<Vec<Comparison>> {
        let config = self.data.text(&format!("{folder}/config.json"))?;
        let file = self.data.component(&format!("{folder}/model.safetensors"))?;
        let net = Depth::load(&*file.source, &config, self.device)?;
        let mut compared = Vec::new();
        for name in ["native", "wide"] {
            let output = net.forward(tensor(&self.recorded, name, self.device)?);
            compared.push(compare(output, &self.recorded, &format!("out_{name}"), self.tolerance).await?);
        }
        Ok(compared)
    }

    /// Names are `canny_rough_100_200`, `blur_4`, `lanczos_45_30`, `fill` and `latents_bilinear_12_20`.
    pub(crate) async fn pictures(&self) -> Result<Vec<Comparison>> {
        let mut compared = Vec::new();
        for name in self.recorded.keys() {
            let parts: Vec<&str> = name.split('_').collect();
            let number = |at: usize| -> Result<u32> { Ok(parts.get(at).context("a number is missing")?.parse()?) };
            let (found, tolerance) = match parts[..] {
                ["canny", picture, ..] => {
                    let edges = canny(&self.picture(picture)?, number(2)?.into(), number(3)?.into());
                    (edges.rgb.into_iter().step_by(3).collect(), 0.0)
                }
                ["blur", _] => (self.mask()?.blurred(number(1)?.into()).values, ROUNDED),
                ["lanczos", ..] => {
                    (self.picture("smooth")?.resized(number(1)?, number(2)?, Filter::Lanczos).rgb, ROUNDED)
                }
                ["fill"] => (fill(&self.picture("smooth")?, &self.mask()?).rgb, FILLED),
                ["latents", mode, ..] => {
                    let sides = [number(2)? as usize, number(3)? as usize];
                    let resized = resize(tensor(&self.recorded, "latents", self.device)?, sides, filter(mode)?);
                    compared.push(compare(resized, &self.recorded, name, self.tolerance).await?);
                    continue;
                }
                _ => continue,
            };
            let found: Vec<f32> = found.into_iter().map(f32::from).collect();
            compared.push(Comparison::of(name, &found, &numbers(&self.recorded, name)?, tolerance));
        }
        Ok(compared)
    }

    /// A recorded picture, `[height, width, 3]`.
    fn picture(&self, name: &str) -> Result<Picture> {
        let (sides, rgb) = self.bytes(name)?;
        Ok(Picture { width: sides[1], height: sides[0], rgb })
    }

    /// The recorded mask, `[height, width]`.
    fn mask(&self) -> Result<Mask> {
        let (sides, values) = self.bytes("mask")?;
        Ok(Mask { width: sides[1], height: sides[0], values })
    }

    fn bytes(&self, name: &str) -> Result<([u32; 2], Vec<u8>)> {
        let raw = self.recorded.get(name).with_context(|| format!("no `{name}` is recorded"))?;
        let [height, width, ..] = raw.shape[..] else { bail!("`{name}` is no picture") };
        Ok(([height as u32, width as u32], raw.to_f32().into_iter().map(|value| value as u8).collect()))
    }
}

fn filter(name: &str) -> Result<Filter> {
    Ok(match name {
        "nearest" => Filter::Nearest,
        "nearest-exact" => Filter::NearestExact,
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "bilinear-antialiased" => Filter::BilinearAntialiased,
        "bicubic-antialiased" => Filter::BicubicAntialiased,
        _ => bail!("`{name}` is no filter"),
    })
}
