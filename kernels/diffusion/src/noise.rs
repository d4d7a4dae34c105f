//! Noise of our own, so that one seed makes one picture on every device.
//!
//! Never the backend's generator: those differ between devices. `libm`'s functions are used everywhere, since the platform's
//! own `sin` and `ln` differ in their last bit.

use burn::tensor::{Device, Tensor, TensorData};
use spec::{NoiseKind, Seed};

/// Philox 4x32-10 as `PyTorch` draws normal numbers on CUDA (Salmon et al., 2011).
#[derive(Debug, Clone)]
pub struct Philox {
    key: [u32; 2],
    offset: u32,
}

impl Philox {
    /// A generator at its first draw.
    pub const fn new(seed: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], offset: 0 }
    }

    fn block(&self, index: u64) -> [u32; 4] {
        let mut counter = [self.offset, 0, index as u32, (index >> 32) as u32];
        let mut key = self.key;
        for round in 0..10 {
            if round > 0 {
                key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
            }
            let [a, b, c, d] = counter;
            let low = u64::from(a) * 0xD251_1F53;
            let high = u64::from(c) * 0xCD9E_8D57;
            counter = [(high >> 32) as u32 ^ b ^ key[0], high as u32, (low >> 32) as u32 ^ d ^ key[1], low as u32];
        }
        counter
    }

    /// The next `count` numbers of the standard normal distribution.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        const UNIT: f64 = 2.328_306_4e-10_f32 as f64;
        const TURN: f64 = (2.328_306_4e-10_f32 * std::f32::consts::TAU) as f64;
        let values = (0..count as u64)
            .map(|index| {
                let [x, y, ..] = self.block(index);
                let u = f64::from(x).mul_add(UNIT, UNIT / 2.0);
                let v = f64::from(y).mul_add(TURN, TURN / 2.0);
                (libm::sqrt(-2.0 * libm::log(u)) * libm::sin(v)) as f32
            })
            .collect();
        self.offset = self.offset.wrapping_add(1);
        values
    }

    /// The next `count` numbers uniform in 0..1.
    pub fn uniform(&mut self, count: usize) -> Vec<f32> {
        let values = (0..count as u64).map(|index| (self.block(index)[0] >> 8) as f32 / 16_777_216.0).collect();
        self.offset = self.offset.wrapping_add(1);
        values
    }
}

/// MT19937 and Box-Muller as `PyTorch` draws normal numbers on the CPU (Matsumoto and Nishimura, 1998).
#[derive(Debug, Clone)]
pub struct TorchCpu {
    state: Box<[u32; 624]>,
    index: usize,
    spare: Option<f64>,
}

impl TorchCpu {
    /// A generator at its first draw; like the reference it uses the seed's low 32 bits.
    pub fn new(seed: u64) -> Self {
        let mut state = Box::new([seed as u32; 624]);
        for i in 1..624 {
            let previous = state[i - 1];
            state[i] = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, index: 624, spare: None }
    }

    fn next_u32(&mut self) -> u32 {
        if self.index == 624 {
            self.refill();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C_5680;
        y ^= (y << 15) & 0xEFC6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for i in 0..624 {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7FFF_FFFF);
            let odd = if y & 1 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ odd;
        }
        self.index = 0;
    }

    fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() & 0x00FF_FFFF) as f32 / 16_777_216.0
    }

    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let low = u64::from(self.next_u32());
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 / 9_007_199_254_740_992.0
    }

    /// The next `count` numbers of the standard normal distribution; the reference changes its method at 16.
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        if count < 16 {
            return (0..count).map(|_| self.normal_one() as f32).collect();
        }
        let mut values: Vec<f32> = (0..count).map(|_| self.uniform_f32()).collect();
        for block in values.chunks_exact_mut(16) {
            box_muller(block);
        }
        if !count.is_multiple_of(16) {
            let last = &mut values[count - 16..];
            for value in last.iter_mut() {
                *value = self.uniform_f32();
            }
            box_muller(last);
        }
        values
    }

    fn normal_one(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let angle = std::f64::consts::TAU * self.uniform_f64();
        let radius = libm::sqrt(-2.0 * libm::log1p(-self.uniform_f64()));
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }
}

fn box_muller(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(8);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - *a));
        let angle = std::f32::consts::TAU * *b;
        *a = radius * libm::cosf(angle);
        *b = radius * libm::sinf(angle);
    }
}

/// Hashes a seed and a place in a tree to seeds of its own, as `numpy.random.SeedSequence` does (O'Neill, 2015).
#[derive(Debug, Clone)]
pub(crate) struct SeedSequence {
    pool: [u32; Self::POOL],
}

impl SeedSequence {
    /// What `torchsde` gives its trees.
    const POOL: usize = 24;

    /// The pool of `entropy` and `place`, which is empty at the top.
    pub(crate) fn new(entropy: u64, place: &[u64]) -> Self {
        let words = |value: u64| {
            let (low, high) = (value as u32, (value >> 32) as u32);
            std::iter::once(low).chain((high > 0).then_some(high))
        };
        let mut input: Vec<u32> = words(entropy).collect();
        // A place never looks like more entropy.
        input.resize(Self::POOL, 0);
        input.extend(place.iter().copied().flat_map(words));

        let mut constant = 0x43B0_D7E5_u32;
        let mut hash = |value: u32| {
            let value = value ^ constant;
            constant = constant.wrapping_mul(0x931E_8875);
            let value = value.wrapping_mul(constant);
            value ^ (value >> 16)
        };
        let mix = |kept: u32, added: u32| {
            let value = kept.wrapping_mul(0xCA01_F9DD).wrapping_sub(added.wrapping_mul(0x4973_F715));
            value ^ (value >> 16)
        };
        let mut pool: [u32; Self::POOL] = std::array::from_fn(|index| hash(input[index]));
        for source in 0..Self::POOL {
            for target in (0..Self::POOL).filter(|target| *target != source) {
                pool[target] = mix(pool[target], hash(pool[source]));
            }
        }
        for &word in &input[Self::POOL..] {
            for kept in &mut pool {
                *kept = mix(*kept, hash(word));
            }
        }
        Self { pool }
    }

    /// Its first seeds, at most as many as the pool is large.
    pub(crate) fn state<const N: usize>(&self) -> [u32; N] {
        let mut constant = 0x8B51_F9DD_u32;
        std::array::from_fn(|index| {
            let value = self.pool[index] ^ constant;
            constant = constant.wrapping_mul(0x58F3_8DED);
            let value = value.wrapping_mul(constant);
            value ^ (value >> 16)
        })
    }
}

/// A picture's seed and the generator that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseSeed {
    /// Which generator.
    pub kind: NoiseKind,
    /// Its seed.
    pub seed: u64,
}

impl NoiseSeed {
    /// The same generator with another seed.
    pub(crate) const fn with(self, seed: u32) -> Self {
        Self { kind: self.kind, seed: seed as u64 }
    }

    /// The generator's first `count` numbers of the standard normal distribution.
    pub(crate) fn normal(self, count: usize) -> Vec<f32> {
        Generator::new(self).normal(count)
    }
}

#[derive(Debug, Clone)]
enum Generator {
    Philox(Philox),
    TorchCpu(TorchCpu),
}

impl Generator {
    fn new(NoiseSeed { kind, seed }: NoiseSeed) -> Self {
        match kind {
            NoiseKind::Philox => Self::Philox(Philox::new(seed)),
            NoiseKind::TorchCpu => Self::TorchCpu(TorchCpu::new(seed)),
        }
    }

    fn normal(&mut self, count: usize) -> Vec<f32> {
        match self {
            Self::Philox(philox) => philox.normal(count),
            Self::TorchCpu(torch) => torch.normal(count),
        }
    }
}

/// The noise of one run: a generator for each picture of the batch, so that a picture does not depend on its neighbours.
#[derive(Debug, Clone)]
pub struct Noise {
    generators: Vec<(NoiseSeed, Generator)>,
}

impl Noise {
    /// Generators with the seeds `seed`, `seed + 1`, … for `batch` pictures.
    pub fn new(kind: NoiseKind, seed: Seed, batch: usize) -> Self {
        let generators = (0..batch as u64)
            .map(|k| NoiseSeed { kind, seed: seed.0.wrapping_add(k) })
            .map(|seed| (seed, Generator::new(seed)))
            .collect();
        Self { generators }
    }

    /// The noise of several runs that are computed as one: every picture keeps the generator it has alone.
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        Self { generators: parts.into_iter().flat_map(|part| part.generators).collect() }
    }

    /// The seed of each picture.
    pub fn seeds(&self) -> Vec<NoiseSeed> {
        self.generators.iter().map(|(seed, _)| *seed).collect()
    }

    /// Unit noise for the whole batch.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, channels, height, width]`
    pub fn draw(&mut self, [channels, height, width]: [usize; 3], device: &Device) -> Tensor<4> {
        let count = channels * height * width;
        let values: Vec<f32> = self.generators.iter_mut().flat_map(|(_, generator)| generator.normal(count)).collect();
        Tensor::from_data(TensorData::new(values, [self.generators.len(), channels, height, width]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_equals_cuda() {
        let expected: [f64; 12] = [
            -0.924_662_59,
            -0.425_344_15,
            -2.643_845_7,
            0.145_183_88,
            -0.120_866_47,
            -0.579_725_64,
            -0.622_851_22,
            -0.328_387_09,
            -1.074_542_31,
            -0.363_144_07,
            -1.671_050_67,
            2.265_504_97,
        ];
        let found = Philox::new(0).normal(12);
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    #[test]
    fn joined_runs_draw_what_each_draws_alone() {
        let device = Device::flex();
        let alone = || NoiseKind::ALL.iter().map(|kind| Noise::new(*kind, Seed(3), 2));
        let mut joined = Noise::join(alone());
        let mut parts: Vec<Noise> = alone().collect();
        for _ in 0..2 {
            let drawn = joined.draw([4, 4, 4], &device);
            let separate = parts.iter_mut().map(|part| part.draw([4, 4, 4], &device)).collect();
            drawn.into_data().assert_eq(&Tensor::cat(separate, 0).into_data(), true);
        }
    }

    #[test]
    fn a_picture_does_not_depend_on_its_neighbours() {
        let device = Device::flex();
        for kind in NoiseKind::ALL {
            let both = Noise::new(*kind, Seed(7), 2).draw([4, 8, 8], &device);
            let second = Noise::new(*kind, Seed(8), 1).draw([4, 8, 8], &device);
            both.narrow(0, 1, 1).into_data().assert_eq(&second.into_data(), true);
        }
    }
}
