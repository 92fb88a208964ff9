//! The entropy-coded data of a JPEG bit by bit, and its Huffman codes.

use super::Lost;

/// Bits of the longest code.
const LONGEST: usize = 16;
/// Bits of the codes that are looked up at once.
const QUICK: usize = 8;

/// Zero bytes in a row that no picture makes, but where it is flat.
const MOST_ZEROS: u32 = 48;

/// Reads the bits between two markers.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte that is not in `waiting`.
    at: usize,
    /// Bits that come next, the first of them highest.
    waiting: u64,
    /// How many those are.
    count: u32,
    /// Bytes that were read last and are zero, one after the other.
    zeros: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, waiting: 0, count: 0, zeros: 0 }
    }

    /// Takes in what there is, up to the next marker.
    fn fill(&mut self) {
        while self.count <= 56
            && let Some(byte) = self.byte()
        {
            self.waiting |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        }
    }

    /// The next byte of data, none before a marker.
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        if byte == 0xff {
            // A zero after it says that it is data.
            if self.bytes.get(self.at + 1) != Some(&0) {
                return None;
            }
            self.at += 1;
        }
        self.at += 1;
        Some(byte)
    }

    fn consume(&mut self, bits: u32) -> Result<(), Lost> {
        if bits > self.count {
            return Err(Lost::Ended);
        }
        self.waiting <<= bits;
        self.count -= bits;
        Ok(())
    }

    /// The next bits as a number, at most 16.
    pub(super) fn take(&mut self, bits: u32) -> Result<u32, Lost> {
        self.fill();
        let value = if bits == 0 { 0 } else { (self.waiting >> (64 - bits)) as u32 };
        self.consume(bits).map(|()| value)
    }

    /// The value of a coefficient of so many bits, at most 16.
    ///
    /// # Errors
    /// As [`take`](Self::take); a value among zeros that were written over the data. A flat field may be all zeros, but has no values.
    pub(super) fn value(&mut self, bits: u32) -> Result<i32, Lost> {
        let value = self.take(bits)? as i32;
        if bits > 0 && self.zeros >= MOST_ZEROS {
            return Err(Lost::Zeros);
        }
        // Values whose first bit is 0 are negative.
        Ok(if bits > 0 && value >> (bits - 1) == 0 { value + 1 - (1 << bits) } else { value })
    }

    /// Passes over bits, at most 64.
    pub(super) fn skip(&mut self, mut bits: u32) -> Result<(), Lost> {
        while bits > 0 {
            let some = bits.min(16);
            self.take(some)?;
            bits -= some;
        }
        Ok(())
    }

    /// Decodes the next Huffman symbol.
    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, Lost> {
        self.fill();
        let ahead = (self.waiting >> 48) as u32;
        let (length, symbol) = codes.find(ahead).ok_or(if self.count < 16 { Lost::Ended } else { Lost::Code })?;
        self.consume(length).map(|()| symbol)
    }

    /// Goes to the next marker. Returns how many whole bytes were passed over, and where the marker begins.
    pub(super) fn seek_marker(&mut self) -> (usize, usize) {
        let mut spare = self.count as usize / 8;
        (self.waiting, self.count) = (0, 0);
        loop {
            match (self.byte(), self.bytes.get(self.at)) {
                (Some(_), _) => spare += 1,
                // Any number of these may stand before a marker.
                (None, Some(_)) if self.bytes.get(self.at + 1) == Some(&0xff) => self.at += 1,
                _ => return (spare, self.at),
            }
        }
    }

    /// Goes on behind a restart marker, if that of this number comes next; how many bytes were passed over.
    pub(super) fn restart(&mut self, number: usize) -> Result<usize, Lost> {
        let (spare, at) = self.seek_marker();
        match self.bytes.get(at + 1) {
            Some(marker) if usize::from(*marker) == 0xd0 + number % 8 => {
                self.at = at + 2;
                Ok(spare)
            }
            Some(0xd0..=0xd7) => Err(Lost::Interval),
            _ => Err(Lost::Ended),
        }
    }
}

/// A table of Huffman codes.
#[derive(Debug, Clone)]
pub(super) struct Codes {
    /// Length and symbol of the code that these eight bits begin; length 0 where it is longer.
    quick: Vec<(u8, u8)>,
    /// For each length: one more than the last code, and what to add to a code to have its place in `symbols`.
    ends: [(u32, i32); LONGEST + 1],
    symbols: Vec<u8>,
}

impl Codes {
    /// The table of so many codes of each length, and of these symbols. Nothing for one that no file can have.
    pub(super) fn new(counts: &[u8; LONGEST], symbols: &[u8]) -> Option<Self> {
        let mut ends = [(0, 0); LONGEST + 1];
        let mut quick = vec![(0, 0); 1 << QUICK];
        let (mut code, mut at) = (0_u32, 0_usize);
        for (length, count) in (1..).zip(counts.iter().map(|count| usize::from(*count))) {
            let first = code;
            code += count as u32;
            if code > 1 << length {
                return None;
            }
            ends[length] = (code, at as i32 - first as i32);
            let of_length = symbols.get(at..at + count)?;
            if length <= QUICK {
                for (code, symbol) in (first as usize..).zip(of_length) {
                    let width = QUICK - length;
                    quick[code << width..(code + 1) << width].fill((length as u8, *symbol));
                }
            }
            at += count;
            code <<= 1;
        }
        Some(Self { quick, ends, symbols: symbols[..at].to_vec() })
    }

    /// Length and symbol of the code that 16 bits begin with.
    fn find(&self, ahead: u32) -> Option<(u32, u8)> {
        let (length, symbol) = self.quick[(ahead >> (LONGEST - QUICK)) as usize];
        if length > 0 {
            return Some((length.into(), symbol));
        }
        (QUICK + 1..=LONGEST).find_map(|length| {
            let code = ahead >> (LONGEST - length);
            let (end, place) = self.ends[length];
            let symbol = || self.symbols.get((code as i32 + place) as usize);
            (code < end).then(symbol).flatten().map(|symbol| (length as u32, *symbol))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Codes {
        let mut counts = [0; LONGEST];
        // 0, 10, 110, and one of ten bits: 1110000000.
        (counts[0], counts[1], counts[2], counts[9]) = (1, 1, 1, 1);
        Codes::new(&counts, &[7, 8, 9, 10]).expect("a table")
    }

    #[test]
    fn symbols_are_those_of_the_codes_and_stuffing_is_no_data() {
        let mut bits = Bits::new(&[0b0101_1011, 0b1000_0000, 0xff, 0x00, 0x2a, 0xff, 0xd9], 0);
        let codes = codes();
        let seen: Vec<u8> = (0..4).map(|_| bits.symbol(&codes).unwrap()).collect();
        assert_eq!(seen, [7, 8, 9, 10]);
        assert_eq!((bits.take(8), bits.take(4)), (Ok(0xff), Ok(2)));
        assert_eq!(bits.symbol(&codes), Ok(8));
        assert_eq!(bits.symbol(&codes), Ok(8));
        assert_eq!(bits.take(1), Err(Lost::Ended));
        assert_eq!(bits.seek_marker(), (0, 5));
        let mut bits = Bits::new(&[0b0110_0110], 0);
        assert_eq!([2, 2, 4, 0].map(|size| bits.value(size)), [Ok(-2), Ok(2), Ok(-9), Ok(0)]);
    }

    #[test]
    fn values_among_zeros_are_lost_and_flat_fields_are_not() {
        let zeros = [0; 100];
        let mut bits = Bits::new(&zeros, 0);
        assert!((0..700).all(|_| bits.symbol(&codes()) == Ok(7)));
        assert_eq!(bits.value(1), Err(Lost::Zeros));
    }

    #[test]
    fn what_no_table_holds_is_lost_and_tables_that_cannot_be_are_none() {
        let mut bits = Bits::new(&[0xfe, 0xfe, 0xfe], 0);
        assert_eq!(bits.symbol(&codes()), Err(Lost::Code));
        let mut three_of_one_bit = [0; LONGEST];
        three_of_one_bit[0] = 3;
        assert!(Codes::new(&three_of_one_bit, &[1, 2, 3]).is_none());
        let mut counts = [0; LONGEST];
        counts[3] = 4;
        assert!(Codes::new(&counts, &[1, 2, 3]).is_none(), "fewer symbols than codes");
    }

    #[test]
    fn restarts_come_in_order() {
        let at = |number, bytes: &[u8]| Bits::new(bytes, 0).restart(number);
        assert_eq!(at(8, &[0x3f, 0xff, 0xd0]), Ok(1));
        assert_eq!(at(0, &[0xff, 0xff, 0xd0]), Ok(0));
        assert_eq!(at(0, &[0xff, 0xd1]), Err(Lost::Interval));
        assert_eq!(at(0, &[0xff, 0xd9]), Err(Lost::Ended));
        assert_eq!(at(0, &[0x3f]), Err(Lost::Ended));
    }
}
