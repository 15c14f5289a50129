//! Functions that a model brings along, written out where they are called.
//!
//! A call becomes the nodes of the function's body, with names of their own. A
//! body may call other functions, so few bytes can stand for very many nodes:
//! what all calls write together is bounded.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

use super::is_standard;

/// Bytes that all calls of a model may write. They count like bytes of the file:
/// 32 times as many are half of the 64 MiB that any model may take.
const MAX_WRITTEN: usize = 1 << 20;

/// What a node counts at least, however short it is.
const NODE: usize = 64;

/// How deep functions may call each other.
const MAX_DEPTH: usize = 32;

/// A function's domain and name.
type Key = (String, String);

/// Writes out all calls of the model's own functions.
///
/// # Errors
/// A function cannot be written out, or all of them would be too much.
pub(super) fn write_out(proto: &mut ModelProto) -> Result<(), String> {
    if proto.functions.is_empty() {
        return Ok(());
    }
    let mut functions = HashMap::new();
    for function in std::mem::take(&mut proto.functions) {
        let key = key(function.domain(), function.name());
        let bytes = function.node.iter().map(|node| NODE + node.encoded_len());
        let bytes = bytes.sum();
        let [domain, name] = [function.domain(), function.name()].map(str::to_owned);
        let known = functions.insert(key, Known { function, bytes });
        if known.is_some() {
            return Err(format!("holds two functions {domain}.{name}"));
        }
    }
    let mut writer = Writer {
        functions,
        called: HashSet::new(),
        calls: 0,
        left: MAX_WRITTEN,
    };
    if let Some(graph) = &mut proto.graph {
        writer.graph(graph, 0)?;
    }
    let called = std::mem::take(&mut writer.called);
    for known in called.iter().filter_map(|key| writer.functions.get(key)) {
        import(proto, &known.function);
    }
    Ok(())
}

/// A function and how large its body is.
struct Known {
    function: FunctionProto,
    bytes: usize,
}

struct Writer {
    functions: HashMap<Key, Known>,
    called: HashSet<Key>,
    /// Calls written so far; their numbers make names different.
    calls: usize,
    /// Bytes that may still be written.
    left: usize,
}

impl Writer {
    fn graph(&mut self, graph: &mut GraphProto, depth: usize) -> Result<(), String> {
        graph.node = self.nodes(std::mem::take(&mut graph.node), depth)?;
        Ok(())
    }

    fn nodes(&mut self, nodes: Vec<NodeProto>, depth: usize) -> Result<Vec<NodeProto>, String> {
        let mut written = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            let key = key(&node.domain, &node.op_type);
            if self.functions.contains_key(&key) {
                let body = self.body(&node, &key, depth)?;
                written.extend(self.nodes(body, depth + 1)?);
                self.called.insert(key);
                continue;
            }
            for attribute in &mut node.attribute {
                for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                    self.graph(inner, depth)?;
                }
            }
            written.push(node);
        }
        Ok(written)
    }

    /// The nodes of the function that `call` calls, for this call.
    fn body(
        &mut self,
        call: &NodeProto,
        key: &Key,
        depth: usize,
    ) -> Result<Vec<NodeProto>, String> {
        let name = format!("{}.{}", call.domain, call.op_type);
        let Some(Known { function, bytes }) = self.functions.get(key) else {
            return Ok(vec![]);
        };
        if depth == MAX_DEPTH {
            return Err(format!(
                "calls functions more than {MAX_DEPTH} deep, the last one {name}"
            ));
        }
        if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
            return Err(format!(
                "calls {name} with {} inputs for {} outputs; it has {} and {}",
                call.input.len(),
                call.output.len(),
                function.input.len(),
                function.output.len()
            ));
        }
        self.left = self.left.checked_sub(*bytes).ok_or_else(|| {
            format!("would be too large with its functions written out, the last one {name}")
        })?;
        self.calls += 1;
        let scope = Scope::new(call, function, self.calls);
        let mut nodes = function.node.clone();
        for node in &mut nodes {
            scope.node(node).map_err(|attribute| {
                format!(
                    "calls {name} without its attribute `{attribute}`, whose default value cannot be read"
                )
            })?;
        }
        Ok(nodes)
    }
}

/// What the names of a body mean in one call.
struct Scope<'a> {
    call: &'a NodeProto,
    function: &'a FunctionProto,
    names: HashMap<&'a str, &'a str>,
    prefix: String,
}

impl<'a> Scope<'a> {
    fn new(call: &'a NodeProto, function: &'a FunctionProto, number: usize) -> Self {
        // An input that the call leaves out has no name.
        let given = call.input.iter().map(String::as_str);
        let inputs = function
            .input
            .iter()
            .zip(given.chain(std::iter::repeat("")));
        let outputs = function.output.iter().zip(&call.output);
        let outputs = outputs
            .filter(|(_, name)| !name.is_empty())
            .map(|(formal, name)| (formal.as_str(), name.as_str()));
        let inputs = inputs.map(|(formal, name)| (formal.as_str(), name));
        Self {
            call,
            function,
            names: inputs.chain(outputs).collect(),
            prefix: format!("call {number}"),
        }
    }

    fn rename(&self, name: &mut String) {
        if name.is_empty() {
            return;
        }
        *name = match self.names.get(name.as_str()) {
            Some(known) => (*known).to_owned(),
            None => format!("{}/{name}", self.prefix),
        };
    }

    /// Gives a node the call's names and attributes; the error is the name of an
    /// attribute that nobody gives.
    fn node(&self, node: &mut NodeProto) -> Result<(), String> {
        self.rename(&mut node.name);
        for name in node.input.iter_mut().chain(&mut node.output) {
            self.rename(name);
        }
        let mut attributes = Vec::with_capacity(node.attribute.len());
        for attribute in std::mem::take(&mut node.attribute) {
            attributes.extend(self.attribute(attribute)?);
        }
        node.attribute = attributes;
        Ok(())
    }

    /// An attribute as the call has it; none if it may be left out and is.
    fn attribute(&self, mut attribute: AttributeProto) -> Result<Option<AttributeProto>, String> {
        let referred = std::mem::take(&mut attribute.ref_attr_name);
        if referred.is_empty() {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.graph(inner)?;
            }
            return Ok(Some(attribute));
        }
        let given = self.call.attribute.iter().find(|it| it.name == referred);
        match given {
            Some(given) => Ok(Some(AttributeProto {
                name: attribute.name,
                ..given.clone()
            })),
            // Those with a default are in another list, which is not read.
            None if self.function.attribute.contains(&referred) => Ok(None),
            None => Err(referred),
        }
    }

    fn graph(&self, graph: &mut GraphProto) -> Result<(), String> {
        let values = graph.input.iter_mut().chain(&mut graph.output);
        for value in values.chain(&mut graph.value_info) {
            self.rename(&mut value.name);
        }
        for tensor in &mut graph.initializer {
            self.rename(&mut tensor.name);
        }
        graph.node.iter_mut().try_for_each(|node| self.node(node))
    }
}

/// Sees to it that the model has the sets of operators that a body asks for.
///
/// Where it has another version of one, the standard demands that both versions
/// mean the same by the operators of the body.
fn import(proto: &mut ModelProto, function: &FunctionProto) {
    for wanted in &function.opset_import {
        let mut imports = proto.opset_import.iter();
        if !imports.any(|known| same_domain(&known.domain, &wanted.domain)) {
            proto.opset_import.push(wanted.clone());
        }
    }
}

fn key(domain: &str, name: &str) -> Key {
    let domain = if is_standard(domain) { "" } else { domain };
    (domain.to_owned(), name.to_owned())
}

fn same_domain(one: &str, other: &str) -> bool {
    one == other || is_standard(one) && is_standard(other)
}

#[cfg(test)]
mod tests;
