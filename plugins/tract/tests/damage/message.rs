//! Protobuf messages without their schema: taken apart, changed, put together.

use crate::random::Random;

/// A field of a message.
#[derive(Clone)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// `bytes` with one to four fields changed; lengths are right again.
pub(crate) fn changed(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let Some(mut fields) = parse(bytes) else {
        return bytes.to_vec();
    };
    for _ in 0..=random.below(4) {
        let place = random.below(count(&fields));
        let donor = random.below(count(&fields));
        let donor = nth(&mut fields, &mut { donor }).map(|(fields, at)| fields[at].clone());
        if let Some((fields, at)) = nth(&mut fields, &mut { place }) {
            change(fields, at, donor, random);
        }
    }
    let mut changed = Vec::new();
    write(&fields, &mut changed);
    changed
}

fn change(fields: &mut Vec<Field>, at: usize, donor: Option<Field>, random: &mut Random) {
    match random.below(16) {
        0 => {
            fields.remove(at);
            return;
        }
        1 => {
            let twin = fields[at].clone();
            fields.insert(at, twin);
            return;
        }
        2 => {
            if let Some(donor) = donor {
                fields[at].value = donor.value;
            }
            return;
        }
        _ => {}
    }
    match &mut fields[at].value {
        Value::Varint(number) => {
            *number = match random.below(4) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_mul(2),
                _ => random.awkward() as u64,
            }
        }
        Value::Fixed64(word) => *word = random.bits().to_le_bytes(),
        Value::Fixed32(word) => {
            *word = random
                .one_of(&[f32::NAN, f32::INFINITY, -1., 1e30, 0., 1e-30])
                .to_le_bytes();
        }
        Value::Bytes(bytes) => change_bytes(bytes, donor, random),
        Value::Message(inner) => {
            if let Some(donor) = donor {
                inner.push(donor);
            }
        }
    }
}

fn change_bytes(bytes: &mut Vec<u8>, donor: Option<Field>, random: &mut Random) {
    let words = bytes.len() / 8;
    if words > 0 && bytes.len().is_multiple_of(8) && random.below(4) > 0 {
        let word = random.below(words) * 8;
        bytes[word..word + 8].copy_from_slice(&random.awkward().to_le_bytes());
        return;
    }
    if bytes.len() == 4 && random.below(2) > 0 {
        let numbers = [1e9, 1e18, f32::NAN, f32::INFINITY, -1., 0., 1e-9, 1000.];
        *bytes = random.one_of(&numbers).to_le_bytes().to_vec();
        return;
    }
    match (random.below(4), donor) {
        // Another name of the model: edges go elsewhere.
        (
            0 | 1,
            Some(Field {
                value: Value::Bytes(other),
                ..
            }),
        ) => *bytes = other,
        (2, _) => bytes.truncate(random.below(bytes.len())),
        _ if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        _ => bytes.push(random.bits() as u8),
    }
}

fn count(fields: &[Field]) -> usize {
    let inner = |field: &Field| match &field.value {
        Value::Message(inner) => count(inner),
        _ => 0,
    };
    fields.iter().map(|field| 1 + inner(field)).sum()
}

/// The message that field number `left` is in, and where.
fn nth<'a>(fields: &'a mut Vec<Field>, left: &mut usize) -> Option<(&'a mut Vec<Field>, usize)> {
    let mut found = None;
    for (at, field) in fields.iter().enumerate() {
        let size = 1 + match &field.value {
            Value::Message(inner) => count(inner),
            _ => 0,
        };
        if *left < size {
            found = Some(at);
            break;
        }
        *left -= size;
    }
    let at = found?;
    if *left == 0 {
        return Some((fields, at));
    }
    *left -= 1;
    match &mut fields[at].value {
        Value::Message(inner) => nth(inner, left),
        _ => None,
    }
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = key >> 3;
        if !(1..=64).contains(&number) {
            return None;
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(*taken(&mut bytes, 8)?.first_chunk()?),
            5 => Value::Fixed32(*taken(&mut bytes, 4)?.first_chunk()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let content = taken(&mut bytes, length)?;
                match parse(content) {
                    Some(inner) if !inner.is_empty() => Value::Message(inner),
                    _ => Value::Bytes(content.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *taken(bytes, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn taken<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn write(fields: &[Field], out: &mut Vec<u8>) {
    for field in fields {
        let kind = match &field.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) | Value::Message(_) => 2,
            Value::Fixed32(_) => 5,
        };
        write_varint(field.number << 3 | kind, out);
        match &field.value {
            Value::Varint(number) => write_varint(*number, out),
            Value::Fixed64(word) => out.extend(word),
            Value::Fixed32(word) => out.extend(word),
            Value::Bytes(bytes) => {
                write_varint(bytes.len() as u64, out);
                out.extend(bytes);
            }
            Value::Message(inner) => {
                let mut content = Vec::new();
                write(inner, &mut content);
                write_varint(content.len() as u64, out);
                out.extend(content);
            }
        }
    }
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
