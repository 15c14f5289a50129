//! `Tokenizer` of `com.microsoft`, which exports of text pipelines are made of.

use regex::Regex;
use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// The most tokens of all texts of a call, those that fill up included.
const MAX_TOKENS: usize = 1 << 24;

/// What stands around the tokens of a text, if they are marked.
const MARKS: [&str; 2] = ["\u{2}", "\u{3}"];

/// Builds the operator.
pub(crate) fn tokenizer(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    ensure!(
        node.get_attr_opt_vec::<&str>("stopwords")?.is_none(),
        "words that say nothing are not left out here"
    );
    let separators: Vec<&str> = node.get_attr_opt_vec("separators")?.unwrap_or_default();
    let how = match (node.get_attr_opt::<&str>("tokenexp")?, &separators[..]) {
        (Some(token), []) => How::Matches(expression(token)?),
        (None, [""]) => How::Characters,
        (None, [_, ..]) => How::Between(
            separators
                .into_iter()
                .map(expression)
                .collect::<TractResult<_>>()?,
        ),
        _ => bail!("either tokens or what is between them must be said"),
    };
    Ok(operator(Tokenizer {
        how,
        is_marked: node.get_attr_opt::<i64>("mark")?.unwrap_or(0) != 0,
        shortest: usize::try_from(node.get_attr_opt::<i64>("mincharnum")?.unwrap_or(1))?,
        filler: node.get_attr::<&str>("pad_value")?.to_owned(),
        tokens: context.template.symbols.new_with_prefix("tokens"),
    }))
}

fn expression(text: &str) -> TractResult<Regex> {
    ensure!(!text.is_empty(), "an expression is empty");
    Regex::new(text).with_context(|| format!("expression `{text}`"))
}

#[derive(Debug)]
struct Tokenizer {
    how: How,
    is_marked: bool,
    /// The characters that a token has at least.
    shortest: usize,
    /// What stands after the last token of a text with fewer than others.
    filler: String,
    /// How many tokens the longest text has.
    tokens: Symbol,
}

#[derive(Debug)]
enum How {
    /// What matches is a token.
    Matches(Regex),
    /// What is between matches is a token.
    Between(Vec<Regex>),
    /// Each character is a token.
    Characters,
}

impl Kernel for Tokenizer {
    fn name(&self) -> &'static str {
        "Tokenizer"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [texts] = inputs else {
            bail!("expected 1 input, got {}", inputs.len());
        };
        ensure!(
            texts.kind == DatumType::String,
            "cannot take {:?} apart",
            texts.kind
        );
        ensure!(
            matches!(&*texts.shape, [_] | [_, _]),
            "texts are a list or a table, not {:?}",
            texts.shape
        );
        let mut shape = texts.shape.clone();
        shape.push(self.tokens.to_dim());
        Ok(Port::new(DatumType::String, shape))
    }

    fn makes_extents(&self) -> bool {
        true
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let texts = inputs[0].try_as_plain_ram()?;
        let texts = texts.as_slice::<String>()?.iter();
        let rows: Vec<Vec<&str>> = texts.map(|text| self.tokens(text)).collect();
        let longest = rows.iter().map(Vec::len).max().unwrap_or_default();
        let all = rows.len().saturating_mul(longest);
        ensure!(all <= MAX_TOKENS, "{all} tokens are too many");
        let mut tokens = Vec::with_capacity(all);
        for row in rows {
            let missing = longest - row.len();
            tokens.extend(row.into_iter().map(str::to_owned));
            tokens.extend(std::iter::repeat_n(self.filler.clone(), missing));
        }
        let mut shape: TVec<usize> = inputs[0].shape().into();
        shape.push(longest);
        tensor1(&tokens).into_shape(&shape)
    }
}

impl Tokenizer {
    fn tokens<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut tokens: Vec<&str> = match &self.how {
            How::Matches(token) => token.find_iter(text).map(|found| found.as_str()).collect(),
            How::Between(separators) => {
                let split = |pieces: Vec<&'a str>, separator: &Regex| {
                    let pieces = pieces.into_iter();
                    pieces.flat_map(|piece| separator.split(piece)).collect()
                };
                separators.iter().fold(vec![text], split)
            }
            How::Characters => text.split("").collect(),
        };
        tokens.retain(|token| !token.is_empty() && token.chars().count() >= self.shortest);
        if self.is_marked {
            tokens.insert(0, MARKS[0]);
            tokens.push(MARKS[1]);
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(how: How, shortest: usize, texts: &[&str]) -> Vec<Vec<String>> {
        let tokenizer = Tokenizer {
            how,
            is_marked: false,
            shortest,
            filler: "#".into(),
            tokens: SymbolScope::default().new_with_prefix("tokens"),
        };
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let found = tokenizer.run(&[&tensor1(&texts)]).unwrap();
        let extent = found.shape()[1];
        let found = found.try_as_plain_ram().unwrap();
        let found = found.as_slice::<String>().unwrap();
        found.chunks(extent).map(<[String]>::to_vec).collect()
    }

    #[test]
    fn texts_are_taken_apart_and_filled_up() {
        let words = || How::Matches(expression("[a-z0-9_]+").unwrap());
        assert_eq!(
            tokens(words(), 1, &["a cat, a dog", "no"]),
            [["a", "cat", "a", "dog"], ["no", "#", "#", "#"]]
        );
        assert_eq!(tokens(words(), 2, &["a cat, a dog"]), [["cat", "dog"]]);
        let between = ["[ ]", ","].map(|text| expression(text).unwrap());
        assert_eq!(
            tokens(How::Between(between.into()), 1, &["a, b c"]),
            [["a", "b", "c"]]
        );
        assert_eq!(tokens(How::Characters, 1, &["äb"]), [["ä", "b"]]);
    }
}
