use super::*;

/// A grey JPEG of `columns` blocks in one row, each flat and of one byte, between restart markers.
fn flat(columns: u8, restarts: &[u8]) -> Vec<u8> {
    let segment = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 2).expect("short").to_be_bytes();
        [&[0xff, kind], &length[..], content].concat()
    };
    let codes = |kind: u8, symbols: &[u8]| {
        // A code of one bit, and one of two.
        let counts = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        segment(0xc4, &[&[kind], &counts[..], symbols].concat())
    };
    let mut file = vec![0xff, 0xd8];
    file.extend(segment(0xdb, &[&[0], &[16; 64][..]].concat()));
    file.extend(segment(0xc0, &[8, 0, 8, 0, 8 * columns, 1, 1, 0x11, 0]));
    file.extend(codes(0x00, &[0, 6]));
    file.extend(codes(0x10, &[0, 0x01]));
    if !restarts.is_empty() {
        file.extend(segment(0xdd, &[0, 1]));
    }
    file.extend(segment(0xda, &[1, 1, 0, 0, 63, 0]));
    // No difference, no coefficients, and six bits to fill the byte.
    for column in 0..columns {
        file.push(0b0011_1111);
        file.extend(restarts.get(usize::from(column)).map(|number| [0xff, 0xd0 + number]).into_iter().flatten());
    }
    file.extend([0xff, 0xd9]);
    file
}

fn reason(bytes: &[u8]) -> String {
    whole(bytes, None).expect_err("damage").to_string()
}

#[test]
fn sizes_are_found_behind_thumbnails_and_never_behind_the_data() {
    // A thumbnail's end inside a segment is not the image's.
    let file = b"\xff\xd8\xff\xe1\0\x06\xff\xd9\xff\xda\xff\xc2\0\x0b\x08\0\x10\0\x20\x01\0\0\0\xff\xda\0\x02\x12";
    assert_eq!(size(file), Some(Size { size: (32, 16), channels: 1 }));
    for end in 0..20 {
        assert_eq!(size(&file[..end]), None);
    }
    assert_eq!(size(b"\xff\xd8\xff\xda\0\x02\xff\xc2\0\x0b\x08\0\x10\0\x20\x01\0\0\0"), None);
}

#[test]
fn restart_markers_come_in_order_and_none_is_lost() {
    let numbers: Vec<u8> = (0..19).map(|number| number % 8).collect();
    let sound = whole(&flat(20, &numbers), None).expect("sound");
    assert!(sound.ends && sound.notes().is_empty(), "{sound:?}");
    // Three intervals are gone; then eight, so that the numbers still fit; then two changed places.
    let without = |from: usize, to: usize| [&numbers[..from], &numbers[to..]].concat();
    let lost = flat(20, &without(4, 7));
    assert!(reason(&lost).contains("a stretch of its data is lost, at part 6 of 20"), "{}", reason(&lost));
    let mut eight = flat(20, &numbers);
    let first = eight.windows(2).position(|two| two == [0xff, 0xd0]).expect("a restart");
    eight.drain(first..first + 8 * 3);
    assert!(reason(&eight).contains("ends before"), "{}", reason(&eight));
    let mut swapped = numbers.clone();
    swapped.swap(9, 10);
    assert!(reason(&flat(20, &swapped)).contains("is lost"));
}

#[test]
fn data_that_is_too_short_or_too_long_is_damage_and_a_few_bytes_are_not() {
    // Two bits are a block: twenty bytes hold eighty.
    let mut file = flat(20, &[]);
    let frame = file.windows(2).position(|two| two == [0xff, 0xc0]).expect("a frame");
    let sized = |file: &mut Vec<u8>, columns: u16| {
        file[frame + 7..frame + 9].copy_from_slice(&(8 * columns).to_be_bytes());
    };
    let data = file.len() - 22;
    file[data..data + 20].fill(0b0000_0000);
    sized(&mut file, 80);
    assert!(whole(&file, None).expect("sound").notes().is_empty());
    sized(&mut file, 81);
    assert!(reason(&file).contains("ends before its image does, at part 81 of 81"), "{}", reason(&file));
    sized(&mut file, 40);
    assert_eq!(
        whole(&file, None).expect("ten bytes more").notes(),
        ["10 bytes belong to no part of its picture, so it may be damaged"]
    );
    sized(&mut file, 12);
    assert!(reason(&file).contains("belongs to no part"), "17 bytes more");
}

#[test]
fn means_that_no_block_can_have_are_damage() {
    let mut file = flat(4, &[0, 1, 2]);
    let data = file.len() - 2 - 4 - 3 * 2;
    // The code of six bits, then 63: the mean of a white block in steps of sixteen eighths; then one in steps of thirty-two.
    file[data..data + 2].copy_from_slice(&[0b1011_1111, 0b0111_1111]);
    file.splice(data + 2..data + 2, [0xff, 0xd0]);
    file.remove(data + 4);
    assert!(whole(&file, None).is_ok(), "{}", reason(&file));
    let steps = file.windows(2).position(|two| two == [0xff, 0xdb]).expect("steps");
    file[steps + 5] = 32;
    assert!(reason(&file).contains("damaged, at part 1 of 4"), "{}", reason(&file));
    file[steps + 9] = 0;
    assert!(reason(&file).contains("a header of it is damaged"), "a step of nothing");
}

#[test]
fn headers_that_no_file_has_are_reasons() {
    let file = flat(4, &[0, 1, 2]);
    assert!(whole(&file, None).is_ok());
    for at in 2..file.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut broken = file.clone();
            broken[at] = value;
            drop(whole(&broken, None));
        }
        drop(whole(&file[..at], None));
    }
    let twice = |kind: u8| {
        let at = file.windows(2).position(|two| two == [0xff, kind]).expect("a segment");
        let end = at + 2 + usize::from(file[at + 3]);
        [&file[..end], &file[at..]].concat()
    };
    assert!(reason(&twice(0xc0)).contains("two frames"));
    assert!(reason(b"\xff\xd8\xff\xd9").contains("before its image begins"));
    let joined = reason(&[&file[..file.len() - 2], &file[..]].concat());
    assert!(joined.contains("another image begins before it ends"), "{joined}");
}

/// A JPEG of three colours up to the header of its first pass, which holds the first `together` of them.
fn colours(sampling: [u8; 3], together: u8) -> Vec<u8> {
    let [one, two, three] = sampling;
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, 16, 0, 16, 3, 1, one, 0, 2, two, 0, 3, three, 0];
    file.extend([0xff, 0xda, 0, 6 + 2 * together, together]);
    (1..=together).for_each(|id| file.extend([id, 0]));
    file.extend([0, 63, 0]);
    file
}

#[test]
fn colours_that_the_decoder_would_read_wrong_are_refused() {
    for (sampling, together) in [([0x22, 0x11, 0x11], 1), ([0x22, 0x11, 0x11], 2), ([0x11, 0x22, 0x11], 3)] {
        let reason = reason(&colours(sampling, together));
        assert!(reason.contains("not read right here; save it as PNG"), "{sampling:?} {together}: {reason}");
    }
    for (sampling, together) in [([0x22, 0x11, 0x11], 3), ([0x11, 0x11, 0x11], 1)] {
        let reason = reason(&colours(sampling, together));
        assert!(!reason.contains("not read right"), "{sampling:?} {together}: {reason}");
    }
}

#[test]
fn filling_bytes_before_a_marker_are_no_damage() {
    let numbers: Vec<u8> = (0..19).map(|number| number % 8).collect();
    let file = flat(20, &numbers);
    for marker in [[0xff, 0xc0], [0xff, 0xc4], [0xff, 0xda]] {
        let at = file.windows(2).position(|two| two == marker).expect("the marker");
        let mut filled = file.clone();
        filled.splice(at..at, [0xff; 40]);
        assert!(whole(&filled, None).expect("sound").notes().is_empty(), "{marker:x?}");
    }
}
