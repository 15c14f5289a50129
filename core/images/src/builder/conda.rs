//! Conda package lines as requirements of pip.
//!
//! Invariant: what comes out is a name on PyPI in the normal form of PEP 503
//! and version bounds of PEP 440, or nothing.

use std::str::FromStr as _;

use pep440_rs::VersionSpecifiers;

/// What a conda line is for pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CondaLine {
    /// As conda calls it, in normal form.
    pub(crate) name: String,
    /// As PyPI calls it; none when PyPI has nothing of the kind.
    pub(crate) pypi: Option<String>,
    /// Version bounds of PEP 440; empty when any will do.
    pub(crate) bounds: String,
    /// What follows the name, as it is.
    pub(crate) rest: String,
    /// Whether the line has bounds that pip cannot express.
    pub(crate) loosened: bool,
}

/// Reads a conda line; an error is the part that is no version.
pub(crate) fn parse(line: &str) -> Result<CondaLine, String> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    let line = line.rsplit_once("::").map_or(line, |(_, rest)| rest).trim();
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let name = normal_name(name);
    if name.is_empty() {
        return Err(line.to_owned());
    }
    let pypi = on_pypi(&name);
    let rest = match rest.trim().strip_prefix('[') {
        Some(keys) => version_key(keys),
        None => rest.trim(),
    };
    // `|` is conda's "or", which pip does not have.
    let loosened = rest.contains('|');
    // Versions of what is not on PyPI mean nothing to pip (`openssl=1.1.1k`).
    let bounds = if pypi.is_none() || loosened {
        String::new()
    } else {
        bounds(rest)?
    };
    Ok(CondaLine {
        name,
        pypi,
        bounds,
        rest: rest.to_owned(),
        loosened,
    })
}

/// The bounds of conda's version part: `=1.2=build`, `>=1,<2`, ` 1.2.*`.
pub(crate) fn bounds(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text == "*" || text == "=" {
        return Ok(String::new());
    }
    let bounds = match text.strip_prefix('=') {
        Some(exact) if exact.starts_with('=') => exact_version(exact.trim_start_matches('=')),
        Some(fuzzy) => match fuzzy.split_once('=') {
            // A build makes the version exact.
            Some((version, build)) if !build.is_empty() && build != "*" => exact_version(version),
            Some((version, _)) => starting_with(version),
            None => starting_with(fuzzy),
        },
        None if text.starts_with(|c: char| c.is_ascii_digit()) => {
            exact_version(text.split([' ', '=']).next().unwrap_or_default())
        }
        None => each_bound(text),
    };
    VersionSpecifiers::from_str(&bounds)
        .map(|_| bounds)
        .map_err(|_| text.to_owned())
}

fn exact_version(version: &str) -> String {
    let version = version.split(['=', ' ']).next().unwrap_or_default().trim();
    match version.strip_suffix('*') {
        Some(start) => starting_with(start),
        None => format!("=={version}"),
    }
}

fn starting_with(version: &str) -> String {
    let version = version.trim().trim_end_matches(['*', '.']);
    match version {
        "" => String::new(),
        version => format!("=={version}.*"),
    }
}

/// `>=1.2,<2`, `>1.*`, `=1.2,!=1.2.3`: conda allows a `.*` where PEP 440 does not.
fn each_bound(text: &str) -> String {
    let bound = |bound: &str| {
        let bound = bound.trim();
        let end = bound
            .find(|c: char| !"<>=!~".contains(c))
            .unwrap_or(bound.len());
        match bound.split_at(end) {
            ("", version) => exact_version(version),
            ("=", version) => starting_with(version),
            (operator @ ("==" | "!="), version) => format!("{operator}{}", version.trim()),
            (operator, version) => {
                let version = version.trim().trim_end_matches(['*', '.']);
                format!("{operator}{version}")
            }
        }
    };
    text.split(',').map(bound).collect::<Vec<_>>().join(",")
}

/// `version='>=1'` among the keys in brackets.
fn version_key(keys: &str) -> &str {
    let keys = keys.trim_end_matches(']');
    let Some((_, rest)) = keys.split_once("version=") else {
        return "";
    };
    let quote = rest.chars().next().filter(|c| "'\"".contains(*c));
    match quote {
        Some(quote) => rest[1..].split(quote).next().unwrap_or_default(),
        None => rest.split(',').next().unwrap_or_default(),
    }
}

/// The normal form of PEP 503.
pub(crate) fn normal_name(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn on_pypi(name: &str) -> Option<String> {
    if CONDA_ONLY.contains(&name) || CONDA_ONLY_STARTS.iter().any(|it| name.starts_with(it)) {
        return None;
    }
    let renamed = RENAMED.iter().find(|(conda, _)| *conda == name);
    Some(renamed.map_or(name, |(_, pypi)| pypi).to_owned())
}

/// Interpreters, compilers, C libraries, CUDA and switches between builds:
/// conda packages that pip either does not need (wheels bring them along) or
/// cannot install.
const CONDA_ONLY: [&str; 61] = [
    "binutils",
    "blas",
    "bzip2",
    "c-ares",
    "c-compiler",
    "ca-certificates",
    "cairo",
    "cmake",
    "compilers",
    "conda",
    "cpuonly",
    "cudatoolkit",
    "cudnn",
    "curl",
    "cxx-compiler",
    "expat",
    "ffmpeg",
    "fontconfig",
    "fortran-compiler",
    "freetype",
    "gettext",
    "git",
    "glib",
    "graphviz",
    "hdf5",
    "icu",
    "intel-openmp",
    "jpeg",
    "krb5",
    "lapack",
    "llvm-openmp",
    "lz4-c",
    "make",
    "mkl",
    "mkl-devel",
    "mkl-include",
    "mkl-service",
    "nccl",
    "ncurses",
    "ninja",
    "nodejs",
    "nomkl",
    "openblas",
    "openjdk",
    "openssl",
    "pip",
    "pkg-config",
    "python",
    "python-abi",
    "pytorch-cuda",
    "pytorch-mutex",
    "readline",
    "snappy",
    "sqlite",
    "tbb",
    "tk",
    "unixodbc",
    "wheel",
    "xz",
    "yaml",
    "zlib",
];

/// Families of the same kind, e.g. `libgcc-ng`, `gxx_linux-64`, `cuda-nvcc`.
const CONDA_ONLY_STARTS: [&str; 18] = [
    "cuda-",
    "gcc",
    "gfortran",
    "gxx",
    "ld-impl",
    "libblas",
    "libcblas",
    "libcublas",
    "libcuda",
    "libffi",
    "libgcc",
    "libgfortran",
    "libgomp",
    "liblapack",
    "libopen",
    "libstdcxx",
    "openmp-mutex",
    "sysroot-",
];

/// Packages that PyPI has under another name.
const RENAMED: [(&str, &str); 22] = [
    ("brotli-python", "brotli"),
    ("dask-core", "dask"),
    ("graphviz-python", "graphviz"),
    ("lightgbm-cpu", "lightgbm"),
    ("matplotlib-base", "matplotlib"),
    ("msgpack-python", "msgpack"),
    ("numpy-base", "numpy"),
    ("opencv", "opencv-python-headless"),
    ("psycopg2", "psycopg2-binary"),
    ("py-opencv", "opencv-python-headless"),
    ("py-xgboost", "xgboost"),
    ("py-xgboost-cpu", "xgboost"),
    ("py-xgboost-gpu", "xgboost"),
    ("pytables", "tables"),
    ("python-blosc", "blosc"),
    ("python-graphviz", "graphviz"),
    ("python-lmdb", "lmdb"),
    ("python-xxhash", "xxhash"),
    ("pytorch", "torch"),
    ("pytorch-cpu", "torch"),
    ("pytorch-gpu", "torch"),
    ("tensorflow-mkl", "tensorflow"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> (Option<String>, String) {
        let parsed = parse(line).unwrap();
        (parsed.pypi, parsed.bounds)
    }

    #[test]
    fn versions_mean_what_they_mean_to_conda() {
        for (line, name, bounds) in [
            ("scikit-learn", "scikit-learn", ""),
            ("Scikit_Learn=1.2", "scikit-learn", "==1.2.*"),
            ("scikit-learn=1.2.*", "scikit-learn", "==1.2.*"),
            ("scikit-learn==1.2.1", "scikit-learn", "==1.2.1"),
            ("numpy=1.21.5=py38h1234_0", "numpy", "==1.21.5"),
            ("numpy=1.21=*", "numpy", "==1.21.*"),
            ("numpy==1.21.5=py38h1234_0", "numpy", "==1.21.5"),
            ("numpy 1.21.5 py38h1234_0", "numpy", "==1.21.5"),
            ("numpy 1.21*", "numpy", "==1.21.*"),
            ("numpy >=1.2, <2", "numpy", ">=1.2,<2"),
            ("numpy>=1.2.*,!=1.3.*", "numpy", ">=1.2,!=1.3.*"),
            ("numpy=*", "numpy", ""),
            ("conda-forge::pytorch=2", "torch", "==2.*"),
            ("conda-forge/linux-64::opencv", "opencv-python-headless", ""),
            ("py-xgboost~=1.7", "xgboost", "~=1.7"),
            (
                "msgpack-python[version='>=1,<2',build=x]",
                "msgpack",
                ">=1,<2",
            ),
            ("six  # what it is for", "six", ""),
        ] {
            let expected = (Some(name.to_owned()), bounds.to_owned());
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_pypi_does_not_have_has_no_name_there() {
        for line in [
            "python=3.8",
            "pip",
            "_libgcc_mutex=0.1=main",
            "libgcc-ng=9.3.0",
            "_openmp_mutex",
            "openssl=1.1.1k",
            "cudatoolkit=11.3",
            "cuda-nvcc",
            "gxx_linux-64",
            "ld_impl_linux-64=2.35",
            "blas=*=openblas",
        ] {
            assert_eq!(read(line), (None, String::new()), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_said_to_pip_is_told() {
        assert!(parse("numpy=1.2|=1.3").unwrap().loosened);
        assert_eq!(parse("six=banana!"), Err("=banana!".to_owned()));
        assert_eq!(parse("=1"), Err("=1".to_owned()));
    }

    #[test]
    fn tables_are_sorted_and_tell_each_name_once() {
        assert!(CONDA_ONLY.is_sorted());
        assert!(CONDA_ONLY_STARTS.is_sorted());
        assert!(RENAMED.is_sorted_by_key(|(name, _)| name));
    }

    proptest! {
        #[test]
        fn no_line_breaks_it(line in "\\PC{0,40}") {
            if let Ok(parsed) = parse(&line) {
                prop_assert!(VersionSpecifiers::from_str(&parsed.bounds).is_ok());
            }
        }

        #[test]
        fn exact_versions_stay_exact(
            name in "[a-z]{3,8}x", version in "[0-9]{1,2}(\\.[0-9]{1,2}){0,3}"
        ) {
            let parsed = parse(&format!("{name}=={version}")).unwrap();
            prop_assert_eq!(parsed.bounds, format!("=={version}"));
            let parsed = parse(&format!("{name}={version}")).unwrap();
            prop_assert_eq!(parsed.bounds, format!("=={version}.*"));
        }
    }
}
