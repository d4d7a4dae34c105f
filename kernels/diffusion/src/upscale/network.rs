//! Which network a file is, and pictures through it.

use super::{
    RrdbConfig, RrdbNet, SrvggConfig, SrvggNet, UpscaleTiles,
    tiles::{Canvas, positions},
};
use crate::{
    config::ConfigError,
    nn::{BuilderRoot, LoadError},
    picture::Picture,
};
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};
use thiserror::Error;
use weights::TensorSource;

/// Layers of a network, at most; published ones have 23 blocks and 33 convolutions.
const MOST_LAYERS: usize = 4096;

/// A file that is no network of this kind.
#[derive(Debug, Error)]
pub enum LoadUpscalerError {
    /// No tensor of the file is one of theirs.
    #[error(
        "the file is no upscaler that is known: RRDBNet (Real-ESRGAN, ESRGAN at 4x) or SRVGGNetCompact; its first tensors are {0}"
    )]
    Unknown(String),
    /// A size is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The weights do not fit.
    #[error("could not load the weights of the upscaler")]
    Weights(#[from] LoadError),
}

/// A picture that could not be enlarged.
#[derive(Debug, Error)]
pub enum UpscaleError {
    /// Someone asked it to stop.
    #[error("cancelled")]
    Cancelled,
    /// The picture would be too large for a PNG, or for memory's addresses.
    #[error("{width} x {height} at {scale} times its sides is too large")]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// How often its sides would come out.
        scale: usize,
    },
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(ExecutionError),
}

impl From<ExecutionError> for UpscaleError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error)
    }
}

/// Either network, on a device.
#[derive(Debug)]
pub struct Upscaler {
    network: Network,
    device: Device,
}

#[derive(Debug)]
enum Network {
    Rrdb(Box<RrdbNet>),
    Srvgg(Box<SrvggNet>),
}

/// Sizes of either.
enum Sizes {
    Rrdb(RrdbConfig),
    Srvgg(SrvggConfig),
}

/// Prefixes that published files have; the moving average comes first.
const PREFIXES: [&str; 3] = ["params_ema", "params", ""];
/// Most pixels of a picture that is made.
const MAX_PIXELS: u64 = 1 << 30;

impl Upscaler {
    /// Reads a file's sizes from its tensors, and puts the network on a device.
    ///
    /// # Errors
    /// [`LoadUpscalerError`] with everything that is wrong with the file.
    pub fn load(source: &dyn TensorSource, device: &Device, keep_quantised: bool) -> Result<Self, LoadUpscalerError> {
        let found = PREFIXES.iter().find_map(|prefix| sizes(source, prefix).map(|sizes| (prefix, sizes)));
        let Some((prefix, sizes)) = found else {
            let names: Vec<_> = source.tensors().iter().take(4).map(|info| info.name.as_str()).collect();
            return Err(LoadUpscalerError::Unknown(names.join(", ")));
        };
        let root = BuilderRoot::from_checkpoint(source, device, keep_quantised);
        let builder = root.root(prefix);
        let network = match sizes {
            Sizes::Rrdb(config) => Network::Rrdb(Box::new(RrdbNet::new(&builder, &config)?)),
            Sizes::Srvgg(config) => Network::Srvgg(Box::new(SrvggNet::new(&builder, &config)?)),
        };
        root.finish(prefix)?;
        Ok(Self { network, device: device.clone() })
    }

    /// How often a picture's sides come out.
    pub const fn scale(&self) -> usize {
        match &self.network {
            Network::Rrdb(net) => net.scale(),
            Network::Srvgg(net) => net.scale(),
        }
    }

    /// What both sides of a tile must be divisible by.
    const fn multiple(&self) -> usize {
        match &self.network {
            Network::Rrdb(net) => net.multiple(),
            Network::Srvgg(_) => 1,
        }
    }

    /// # Shapes
    ///
    /// - image: `[batch, 3, height, width]` in 0..1
    /// - output: `[batch, 3, scale * height, scale * width]`, about 0..1
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let [.., height, width] = image.dims();
        let (multiple, scale) = (self.multiple(), self.scale());
        let image = repeated_to(repeated_to(image, 2, multiple), 3, multiple);
        let output = match &self.network {
            Network::Rrdb(net) => net.forward(image),
            Network::Srvgg(net) => net.forward(image),
        };
        output.narrow(2, 0, height * scale).narrow(3, 0, width * scale)
    }

    /// Enlarges a picture tile by tile; `on_tile` hears how many of how many are done, and answers whether to go on.
    ///
    /// # Errors
    /// [`UpscaleError`].
    pub async fn upscale(
        &self,
        picture: &Picture,
        tiles: UpscaleTiles,
        mut on_tile: impl FnMut(usize, usize) -> bool,
    ) -> Result<Picture, UpscaleError> {
        let (scale, width, height) = (self.scale(), picture.width as usize, picture.height as usize);
        if (width * height) as u64 * (scale * scale) as u64 > MAX_PIXELS {
            return Err(UpscaleError::TooLarge { width: picture.width, height: picture.height, scale });
        }
        let (rows, columns) = (positions(height, tiles), positions(width, tiles));
        let mut canvas = Canvas::new([width, height], scale);
        for (row, &y) in rows.iter().enumerate() {
            let tall = tiles.side().min(height - y);
            canvas.begin_row(y, tall);
            for (column, &x) in columns.iter().enumerate() {
                if !on_tile(row * columns.len() + column, rows.len() * columns.len()) {
                    return Err(UpscaleError::Cancelled);
                }
                let wide = tiles.side().min(width - x);
                let tile = self.forward(cut(picture, [x, y], [wide, tall], &self.device)).clamp(0.0, 1.0);
                let values: Vec<f32> = tile.into_data_async().await?.iter::<f32>().collect();
                canvas.put(&values, x, wide);
            }
            canvas.end_row();
        }
        Ok(canvas.finish())
    }
}

/// The picture's last row (axis 2) or column (axis 3) again, until the side is divisible.
fn repeated_to(image: Tensor<4>, axis: usize, multiple: usize) -> Tensor<4> {
    let side = image.dims()[axis];
    let missing = side.next_multiple_of(multiple) - side;
    let last = image.clone().narrow(axis, side - 1, 1);
    let mut parts = vec![image];
    parts.extend((0..missing).map(|_| last.clone()));
    if missing == 0 { parts.swap_remove(0) } else { Tensor::cat(parts, axis) }
}

/// A part of a picture.
///
/// # Shapes
///
/// - output: `[1, 3, height, width]` in 0..1
fn cut(picture: &Picture, [left, top]: [usize; 2], [width, height]: [usize; 2], device: &Device) -> Tensor<4> {
    let stride = picture.width as usize;
    let mut values = Vec::with_capacity(3 * width * height);
    for channel in 0..3 {
        for y in top..top + height {
            let row = &picture.rgb[3 * (y * stride + left)..3 * (y * stride + left + width)];
            values.extend(row.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte) / 255.0));
        }
    }
    Tensor::from_data(TensorData::new(values, [1, 3, height, width]), device)
}

/// The sizes of the network whose tensors lie below a prefix.
fn sizes(source: &dyn TensorSource, prefix: &str) -> Option<Sizes> {
    let shape = |name: &str| {
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        source.info(&name).map(|info| info.shape.clone())
    };
    let any = |names: &[String]| names.iter().find_map(|name| shape(name));
    let first = any(&["conv_first.weight".to_owned(), "model.0.weight".to_owned()]);
    if let Some([width, channels, ..]) = first.as_deref() {
        let dense = |block: usize| {
            any(&[
                format!("body.{block}.rdb1.conv1.weight"),
                format!("RRDB_trunk.{block}.RDB1.conv1.weight"),
                format!("model.1.sub.{block}.RDB1.conv1.0.weight"),
            ])
        };
        let scale = match channels {
            3 => 4,
            12 => 2,
            48 => 1,
            _ => return None,
        };
        let blocks = (0..MOST_LAYERS).take_while(|&block| dense(block).is_some()).count();
        let growth = *dense(0)?.first()?;
        return Some(Sizes::Rrdb(RrdbConfig { scale, width: *width, growth, blocks }));
    }
    let width = *shape("body.0.weight")?.first()?;
    let last = (1..MOST_LAYERS).take_while(|layer| shape(&format!("body.{}.weight", 2 * layer)).is_some()).count();
    let out = *shape(&format!("body.{}.weight", 2 * last))?.first()?;
    let scale = (1..=8).find(|scale| 3 * scale * scale == out)?;
    Some(Sizes::Srvgg(SrvggConfig { scale, width, convs: last.checked_sub(1)? }))
}
