//! Walks through the blocks of a scan as a decoder does, to know whether its data is all there. No pixel is made.

use super::bits::{Bits, Codes};
use super::{Frame, Lost};

/// Number of coefficients of a block.
pub(super) const COEFFICIENTS: usize = 64;

/// What a frame says of one of its components, and what is known of it so far.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks in a unit of an interleaved scan: across, down.
    pub(super) sampling: (usize, usize),
    /// Blocks that hold a pixel: across, down.
    pub(super) blocks: (usize, usize),
    /// Blocks across with those that only fill units up.
    pub(super) stride: usize,
    /// Number of its table of steps.
    pub(super) table: usize,
    /// The mean of its last block, in the steps of the scan.
    pub(super) mean: i32,
    /// The largest mean that a block can have, in the same steps.
    pub(super) most: i32,
    /// For each coefficient, how many of its lowest bits have not been seen; nothing before its first pass.
    pub(super) missing: [Option<u8>; COEFFICIENTS],
    /// For each block of a progressive frame: the coefficients that are not zero, one bit each.
    pub(super) set: Vec<u64>,
}

/// What the header of a scan says.
#[derive(Debug)]
pub(super) struct Header {
    /// Positions of its components in the frame, and the numbers of their tables (DC, AC).
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub(super) band: (usize, usize),
    /// Position of the bit that is sent, from the lowest, and whether all above it were sent before.
    pub(super) low: u8,
    pub(super) refines: bool,
}

/// Tables of codes by number: those of DC and those of AC.
pub(super) type Tables = [[Option<Codes>; 4]; 2];

/// The mean of the block before, and the largest that there can be, in steps.
type Mean<'a> = (&'a mut i32, i32);

/// A scan that is walked through.
pub(super) struct Scan<'a, 'b> {
    pub(super) header: &'b Header,
    pub(super) tables: &'b Tables,
    pub(super) bits: Bits<'a>,
    pub(super) progressive: bool,
    /// Blocks for which no more is sent.
    pub(super) idle: u32,
}

/// What remains when a scan is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Bytes of data that belong to no block.
    pub(super) spare: usize,
    /// Where the next marker begins.
    pub(super) next: usize,
}

impl Scan<'_, '_> {
    /// Walks through all units, `restart` of them between two restart markers, if any. The error says in which unit of how many.
    pub(super) fn walk(&mut self, frame: &mut Frame, restart: usize) -> Result<Rest, (Lost, usize, usize)> {
        let (across, down) = match self.header.components[..] {
            [(only, ..)] => frame.components[only].blocks,
            _ => frame.units,
        };
        let mut spare = 0;
        frame.components.iter_mut().for_each(|component| component.mean = 0);
        for unit in 0..across * down {
            let lost = |lost| (lost, unit, across * down);
            if restart > 0 && unit > 0 && unit.is_multiple_of(restart) {
                spare += self.bits.restart(unit / restart - 1).map_err(lost)?;
                self.idle = 0;
                frame.components.iter_mut().for_each(|component| component.mean = 0);
            }
            self.unit(frame, unit % across, unit / across).map_err(lost)?;
        }
        let (more, next) = self.bits.seek_marker();
        Ok(Rest { spare: spare + more, next })
    }

    fn unit(&mut self, frame: &mut Frame, x: usize, y: usize) -> Result<(), Lost> {
        let single = self.header.components.len() == 1;
        for &(at, dc, ac) in &self.header.components {
            let component = &mut frame.components[at];
            let (across, down) = if single { (1, 1) } else { component.sampling };
            let mut mean = (&mut component.mean, component.most);
            for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
                let block = (y * down + row) * component.stride + x * across + column;
                if self.progressive {
                    let set = component.set.get_mut(block).ok_or(Lost::Tables)?;
                    self.pass(set, &mut mean, dc, ac)?;
                } else {
                    self.block(&mut mean, dc, ac)?;
                }
            }
        }
        Ok(())
    }

    fn symbol(&mut self, class: usize, table: usize) -> Result<u8, Lost> {
        let codes = self.tables[class].get(table).and_then(Option::as_ref).ok_or(Lost::Tables)?;
        self.bits.symbol(codes)
    }

    /// A block of one pass.
    fn block(&mut self, mean: &mut Mean<'_>, dc: usize, ac: usize) -> Result<(), Lost> {
        self.first_of_block(mean, dc)?;
        let mut at = 1;
        while at < COEFFICIENTS {
            match self.symbol(1, ac)? {
                0x00 => break,
                0xf0 => at += 16,
                symbol => {
                    at += usize::from(symbol >> 4) + 1;
                    self.bits.value(u32::from(symbol & 15))?;
                }
            }
            if at > COEFFICIENTS {
                return Err(Lost::Code);
            }
        }
        Ok(())
    }

    /// The difference of a block's mean from that of the one before. Damage before this block makes means that no block can have.
    fn first_of_block(&mut self, (mean, most): &mut Mean<'_>, dc: usize) -> Result<(), Lost> {
        let size = self.symbol(0, dc)?;
        if size > 16 {
            return Err(Lost::Code);
        }
        **mean += self.bits.value(size.into())?;
        if mean.abs() > *most { Err(Lost::Code) } else { Ok(()) }
    }

    /// A block of one of several passes.
    fn pass(&mut self, set: &mut u64, mean: &mut Mean<'_>, dc: usize, ac: usize) -> Result<(), Lost> {
        match (self.header.band, self.header.refines) {
            ((0, _), false) => self.first_of_block(mean, dc),
            ((0, _), true) => self.bits.skip(1),
            (band, false) => self.first_pass(set, ac, band),
            (band, true) => self.later_pass(set, ac, band),
        }
    }

    fn first_pass(&mut self, set: &mut u64, ac: usize, (first, last): (usize, usize)) -> Result<(), Lost> {
        if self.idle > 0 {
            self.idle -= 1;
            return Ok(());
        }
        let mut at = first;
        while at <= last {
            let symbol = self.symbol(1, ac)?;
            let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 && run < 15 {
                self.idle = (1 << run) - 1 + self.bits.take(run as u32)?;
                break;
            }
            at += run;
            if at > last {
                return Err(Lost::Code);
            }
            if size > 0 {
                self.bits.value(size)?;
                *set |= 1 << at;
            }
            at += 1;
        }
        Ok(())
    }

    fn later_pass(&mut self, set: &mut u64, ac: usize, (first, last): (usize, usize)) -> Result<(), Lost> {
        let mut at = first;
        while self.idle == 0 && at <= last {
            let symbol = self.symbol(1, ac)?;
            let (mut run, size) = (usize::from(symbol >> 4), symbol & 15);
            match size {
                0 if run < 15 => {
                    self.idle = (1 << run) + self.bits.take(run as u32)?;
                    break;
                }
                0 => {}
                1 => self.bits.skip(1)?,
                _ => return Err(Lost::Code),
            }
            // Each coefficient that is not zero has one more bit here; a run counts the others.
            while at <= last {
                if *set >> at & 1 == 1 {
                    self.bits.skip(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if size > 0 {
                if at > last {
                    return Err(Lost::Code);
                }
                *set |= 1 << at;
            }
            at += 1;
        }
        if self.idle > 0 {
            let rest = if at > last { 0 } else { *set >> at & (u64::MAX >> (63 - (last - at))) };
            self.bits.skip(rest.count_ones())?;
            self.idle -= 1;
        }
        Ok(())
    }
}
