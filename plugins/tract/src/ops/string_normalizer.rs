//! `StringNormalizer`: words in one case, without those that say nothing.

use std::collections::HashSet;

use tract_onnx::{model::ParsingContext, pb::NodeProto, tract_hir::internal::*};

use super::kernel::{Kernel, Port, operator};

/// Builds the operator.
pub(crate) fn string_normalizer(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let case = match node.get_attr_opt("case_change_action")?.unwrap_or("NONE") {
        "NONE" => Case::Same,
        "LOWER" => Case::Lower,
        "UPPER" => Case::Upper,
        other => bail!("there is no case `{other}`"),
    };
    let is_case_sensitive = node.get_attr_opt::<i64>("is_case_sensitive")?.unwrap_or(0) != 0;
    let words: Vec<&str> = node.get_attr_opt_vec("stopwords")?.unwrap_or_default();
    let stop_words = words.into_iter().map(|word| match is_case_sensitive {
        true => word.to_owned(),
        false => word.to_lowercase(),
    });
    Ok(operator(StringNormalizer {
        case,
        is_case_sensitive,
        stop_words: stop_words.collect(),
        kept: context.template.symbols.new_with_prefix("kept"),
    }))
}

#[derive(Debug)]
struct StringNormalizer {
    case: Case,
    is_case_sensitive: bool,
    stop_words: HashSet<String>,
    /// How many words are left.
    kept: Symbol,
}

#[derive(Debug)]
enum Case {
    Same,
    Lower,
    Upper,
}

impl Kernel for StringNormalizer {
    fn name(&self) -> &'static str {
        "StringNormalizer"
    }

    fn output(&self, inputs: &[Port]) -> TractResult<Port> {
        let [words] = inputs else {
            bail!("expected 1 input, got {}", inputs.len());
        };
        ensure!(
            words.kind == DatumType::String,
            "cannot normalise {:?}",
            words.kind
        );
        ensure!(
            matches!(&*words.shape, [_] | [_, _]),
            "words are a list or one row, not {:?}",
            words.shape
        );
        let mut shape = words.shape.clone();
        if !self.stop_words.is_empty()
            && let Some(last) = shape.last_mut()
        {
            *last = self.kept.to_dim();
        }
        Ok(Port::new(DatumType::String, shape))
    }

    fn makes_extents(&self) -> bool {
        !self.stop_words.is_empty()
    }

    fn run(&self, inputs: &[&Tensor]) -> TractResult<Tensor> {
        let mut shape: TVec<usize> = inputs[0].shape().into();
        ensure!(
            shape.len() == 1 || shape[0] == 1,
            "there are {} rows of words, there can be one",
            shape[0]
        );
        let words = inputs[0].try_as_plain_ram()?;
        let words = words.as_slice::<String>()?.iter();
        let mut kept: Vec<String> = words
            .filter(|word| !self.is_stop_word(word))
            .map(|word| match self.case {
                Case::Same => word.clone(),
                Case::Lower => word.to_lowercase(),
                Case::Upper => word.to_uppercase(),
            })
            .collect();
        // The standard wants at least one word.
        if kept.is_empty() && !self.stop_words.is_empty() {
            kept.push(String::new());
        }
        if let Some(last) = shape.last_mut() {
            *last = kept.len();
        }
        tensor1(&kept).into_shape(&shape)
    }
}

impl StringNormalizer {
    fn is_stop_word(&self, word: &str) -> bool {
        match self.is_case_sensitive {
            true => self.stop_words.contains(word),
            false => self.stop_words.contains(&word.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(case: Case, is_case_sensitive: bool, words: &[&str]) -> Vec<String> {
        let normalizer = StringNormalizer {
            case,
            is_case_sensitive,
            stop_words: HashSet::from(["monday".to_owned()]),
            kept: SymbolScope::default().new_with_prefix("kept"),
        };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let normalised = normalizer.run(&[&tensor1(&words)]).unwrap();
        let normalised = normalised.try_as_plain_ram().unwrap();
        normalised.as_slice::<String>().unwrap().to_vec()
    }

    #[test]
    fn words_that_say_nothing_are_left_out() {
        let words = ["monday", "Monday", "Sunday"];
        assert_eq!(normalised(Case::Upper, true, &words), ["MONDAY", "SUNDAY"]);
        assert_eq!(normalised(Case::Lower, false, &words), ["sunday"]);
        assert_eq!(normalised(Case::Same, false, &words[..2]), [""]);
    }
}
