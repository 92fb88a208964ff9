//! The messages of ONNX (onnx.proto, IR version 8) that a file of a network needs, each written field by field with the numbers that
//! stand there.

use prost::encoding::{WireType, encode_key, encode_varint};

/// Element type of 32-bit floats.
pub(crate) const FLOAT: i64 = 1;
/// Element type of 64-bit integers.
pub(crate) const INT64: i64 = 7;

/// The encoded fields of one message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn int(mut self, field: u32, value: i64) -> Self {
        encode_key(field, WireType::Varint, &mut self.0);
        // A negative number has the ten bytes of its two's complement.
        encode_varint(value as u64, &mut self.0);
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(value.len() as u64, &mut self.0);
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn messages(self, field: u32, values: &[Self]) -> Self {
        values.iter().fold(self, |all, value| all.message(field, value))
    }
}

/// `ModelProto`; `facts` are kept as its metadata.
pub(crate) fn model(producer_version: &str, doc: &str, graph: &Message, facts: &[(&str, String)]) -> Message {
    let entries: Vec<Message> =
        facts.iter().map(|(key, value)| Message::default().text(1, key).text(2, value)).collect();
    // The standard set has no name.
    let operators = Message::default().text(1, "").int(2, 17);
    Message::default()
        .int(1, 8)
        .text(2, "reddino")
        .text(3, producer_version)
        .text(6, doc)
        .message(7, graph)
        .message(8, &operators)
        .messages(14, &entries)
}

/// A `GraphProto` of ONNX: the nodes, constants, inputs and outputs of a model.
pub(crate) fn graph(
    name: &str,
    nodes: &[Message],
    constants: &[Message],
    inputs: &[Message],
    outputs: &[Message],
) -> Message {
    Message::default()
        .messages(1, nodes)
        .text(2, name)
        .messages(5, constants)
        .messages(11, inputs)
        .messages(12, outputs)
}

/// `NodeProto`, called as its first output.
pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let message = inputs.iter().fold(Message::default(), |all, name| all.text(1, name));
    let message = outputs.iter().fold(message, |all, name| all.text(2, name));
    message.text(3, outputs.first().unwrap_or(&"")).text(4, op).messages(5, attributes)
}

/// `AttributeProto` of a whole number.
pub(crate) fn int(name: &str, value: i64) -> Message {
    Message::default().text(1, name).int(3, value).int(20, 2)
}

/// `AttributeProto` of a float.
pub(crate) fn float(name: &str, value: f32) -> Message {
    let mut message = Message::default().text(1, name);
    encode_key(2, WireType::ThirtyTwoBit, &mut message.0);
    message.0.extend(value.to_le_bytes());
    message.int(20, 1)
}

/// `AttributeProto` of several whole numbers.
pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().text(1, name), |all, value| all.int(8, *value)).int(20, 7)
}

/// `TensorProto`: a tensor that is part of the file, its elements little-endian.
pub(crate) fn constant(name: &str, dims: &[i64], element: i64, data: &[u8]) -> Message {
    let message = dims.iter().fold(Message::default(), |all, n| all.int(1, *n));
    message.int(2, element).text(8, name).bytes(9, data)
}

/// `ValueInfoProto` of floats `[batch, rest…]`.
pub(crate) fn value(name: &str, rest: &[i64]) -> Message {
    let batch = Message::default().text(2, "batch");
    let shape = rest
        .iter()
        .fold(Message::default().message(1, &batch), |all, n| all.message(1, &Message::default().int(1, *n)));
    let tensor = Message::default().int(1, FLOAT).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}
