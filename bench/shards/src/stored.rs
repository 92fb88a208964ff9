//! A PNG that is filtered and not compressed, for a page that is: any reader of PNG and Parquet takes it, and the page's zstd does
//! the work of deflate.

use shards::RgbImage;

/// Bytes of a block of deflate that stores what it holds.
const BLOCK: usize = 65_535;

/// `image` as a PNG with filter Up and stored blocks.
pub(crate) fn png(image: &RgbImage) -> Vec<u8> {
    let line = 3 * image.width() as usize;
    let mut filtered = Vec::with_capacity((line + 1) * image.height() as usize);
    let mut above = vec![0; line];
    for row in image.chunks_exact(line) {
        filtered.push(2);
        filtered.extend(row.iter().zip(&above).map(|(here, above)| here.wrapping_sub(*above)));
        above.copy_from_slice(row);
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let [width, height] = [image.width(), image.height()].map(u32::to_be_bytes);
    chunk(&mut file, b"IHDR", &[&width[..], &height, &[8, 2, 0, 0, 0]].concat());
    chunk(&mut file, b"IDAT", &stored(&filtered));
    chunk(&mut file, b"IEND", &[]);
    file
}

/// A zlib stream of stored blocks.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&simd_adler32::adler32(&bytes).to_be_bytes());
    stream
}

fn chunk(file: &mut Vec<u8>, kind: &[u8], data: &[u8]) {
    file.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
    let sum = crc32fast::hash(&file[start..]);
    file.extend_from_slice(&sum.to_be_bytes());
}
