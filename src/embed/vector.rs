//! Vectors of length 1, and their bytes.

use super::DIMENSIONS;

/// The embedding of a text: a vector of length 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector {
    components: [f32; DIMENSIONS],
}

impl Vector {
    /// `sum` scaled to length 1; `None` if it is all zeros, for it then has no direction.
    pub(crate) fn from_sum(sum: &[f32; DIMENSIONS]) -> Option<Self> {
        let norm = sum
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            .sqrt();
        if norm == 0.0 {
            return None;
        }
        Some(Self {
            components: sum.map(|value| (f64::from(value) / norm) as f32),
        })
    }

    #[cfg(test)]
    pub(crate) fn components(&self) -> &[f32; DIMENSIONS] {
        &self.components
    }

    /// The similarity of two texts, −1 to 1.
    #[cfg(test)]
    pub(crate) fn dot(&self, other: &Self) -> f32 {
        self.components
            .iter()
            .zip(&other.components)
            .map(|(a, b)| a * b)
            .sum()
    }

    /// The vector as signed bytes with one scale. The largest component becomes ±127.
    pub(crate) fn quantise(&self) -> Quantised {
        // Not zero: the vector has length 1.
        let largest = self
            .components
            .iter()
            .fold(0.0f32, |largest, value| largest.max(value.abs()));
        let values = self
            .components
            .map(|value| (127.0 * value / largest).round() as i8);
        Quantised {
            values,
            scale: largest / 127.0,
        }
    }
}

/// A vector as it is stored: component = value · scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantised {
    /// One signed byte a component.
    pub values: [i8; DIMENSIONS],
    /// What a byte stands for.
    pub scale: f32,
}

impl Quantised {
    /// Length of the stored form: the values, then the scale as a little-endian f32.
    pub(crate) const BYTES: usize = DIMENSIONS + 4;

    /// The similarity of two texts, −1 to 1 but for rounding.
    #[cfg(test)]
    pub(crate) fn dot(&self, other: &Self) -> f32 {
        let products = self
            .values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| i32::from(*a) * i32::from(*b));
        products.sum::<i32>() as f32 * self.scale * other.scale
    }

    pub(crate) fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (byte, value) in bytes.iter_mut().zip(&self.values) {
            *byte = value.cast_unsigned();
        }
        bytes[DIMENSIONS..].copy_from_slice(&self.scale.to_le_bytes());
        bytes
    }

    /// Reads the stored form; `None` if the length is not `BYTES` or the scale is not a positive number.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (values, scale) = bytes.split_at_checked(DIMENSIONS)?;
        let scale = f32::from_le_bytes(scale.try_into().ok()?);
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        let mut quantised = Self {
            values: [0; DIMENSIONS],
            scale,
        };
        for (value, byte) in quantised.values.iter_mut().zip(values) {
            *value = byte.cast_signed();
        }
        Some(quantised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(seed: u32) -> Vector {
        let mut state = seed;
        let sum = std::array::from_fn(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        });
        Vector::from_sum(&sum).unwrap()
    }

    #[test]
    fn a_vector_has_length_one() {
        let vector = vector(1);
        assert!((vector.dot(&vector) - 1.0).abs() < 1e-5);
        assert!(Vector::from_sum(&[0.0; DIMENSIONS]).is_none());
    }

    #[test]
    fn bytes_keep_the_dot_product() {
        let (a, b) = (vector(1), vector(2));
        let quantised = a.quantise();
        assert_eq!(
            quantised
                .values
                .iter()
                .map(|value| value.unsigned_abs())
                .max(),
            Some(127)
        );
        assert!((quantised.dot(&b.quantise()) - a.dot(&b)).abs() < 0.005);
        assert!((quantised.dot(&quantised) - 1.0).abs() < 0.01);
    }

    #[test]
    fn stored_bytes_come_back() {
        let quantised = vector(3).quantise();
        let bytes = quantised.to_bytes();
        assert_eq!(bytes[256..], quantised.scale.to_le_bytes());
        assert_eq!(Quantised::from_bytes(&bytes), Some(quantised));
    }

    #[test]
    fn bytes_that_are_no_vector_are_refused() {
        let bytes = vector(3).quantise().to_bytes();
        let with_scale = |scale: f32| [&bytes[..256], &scale.to_le_bytes()].concat();
        assert!(Quantised::from_bytes(&with_scale(1.0)).is_some());
        for wrong in [
            &bytes[1..],
            &bytes[..9],
            &with_scale(0.0),
            &with_scale(f32::NAN),
        ] {
            assert_eq!(Quantised::from_bytes(wrong), None);
        }
    }
}
