//! Protobuf on the wire, as far as it can be read without knowing the message.

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What stands behind a field's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Goes through the fields of a message in the order of the wire.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
    broken: bool,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            broken: false,
        }
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.left.split_first().ok_or(Malformed)?;
            self.left = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.left.split_at_checked(length).ok_or(Malformed)?;
        self.left = rest;
        Ok(taken)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    fn field(&mut self) -> Result<(u32, Scalar<'a>), Malformed> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Malformed)?;
        let scalar = match tag & 7 {
            0 => Scalar::Varint(self.varint()?),
            1 => Scalar::Fixed64(self.fixed64()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Scalar::Bytes(self.take(length)?)
            }
            5 => Scalar::Fixed32(self.fixed32()?),
            _ => return Err(Malformed),
        };
        Ok((number, scalar))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Scalar<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() || self.broken {
            return None;
        }
        let field = self.field();
        self.broken = field.is_err();
        Some(field)
    }
}

/// A `google.protobuf.Duration` as its JSON: seconds with as many digits as they need, in threes.
pub(super) fn duration(bytes: &[u8]) -> Option<String> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    for field in Reader::new(bytes) {
        match field.ok()? {
            (1, Scalar::Varint(value)) => seconds = value.cast_signed(),
            (2, Scalar::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    Some(match nanos {
        0 => format!("{sign}{seconds}s"),
        n if n % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", n / 1_000_000),
        n if n % 1_000 == 0 => format!("{sign}{seconds}.{:06}s", n / 1_000),
        n => format!("{sign}{seconds}.{n:09}s"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_no_message() {
        for bytes in [
            &[0x08][..],
            &[0x0a, 5, 1],
            &[0x0d, 1, 2],
            &[0x0b],
            &[0xff; 11],
        ] {
            let last = Reader::new(bytes).last();
            assert_eq!(last, Some(Err(Malformed)), "{bytes:?}");
        }
        assert_eq!(
            Reader::new(&[0x08, 0x96, 0x01]).next(),
            Some(Ok((1, Scalar::Varint(150))))
        );
    }

    #[test]
    fn durations() {
        for (bytes, text) in [
            (&[][..], "0s"),
            (&[0x08, 5], "5s"),
            (&[0x10, 0x80, 0xe5, 0x9a, 0x77], "0.250s"),
            (&[0x10, 1], "0.000000001s"),
            (&[0x08, 1, 0x10, 0xe8, 0x07], "1.000001s"),
        ] {
            assert_eq!(duration(bytes).as_deref(), Some(text));
        }
    }
}
