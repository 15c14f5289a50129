//! Grafts the job queue onto the engine's calls.
//!
//! The synchronous engine calls an exported JavaScript function and returns;
//! whatever a promise left to be done is not done. But the entry point for
//! asynchronous exports, which nothing uses here, runs the queue until it is
//! empty. So each call from outside becomes three:
//!
//! 1. the exported function, with the call's arguments: it begins the work;
//! 2. the asynchronous entry point: it calls the function without arguments,
//!    gets an object that is never done, and runs the queue;
//! 3. the exported function again, with the first call's result: it ends the
//!    work, and its result is the call's.
//!
//! The runner's `staged.js` is the other half of this.

use anyhow::{Context, Result, ensure};

const CALL: &str = "wit_dylib_export_call";
const START: &str = "wit_dylib_export_start";
const ASYNC_CALL: &str = "wit_dylib_export_async_call";

const IMPORTS: u8 = 2;
const FUNCTIONS: u8 = 3;
const COMPONENT: u8 = 4;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// The engine, a core module, with its calls replaced.
pub(crate) fn with_jobs(engine: &[u8]) -> Result<Vec<u8>> {
    let sections = sections(engine)?;
    let body_of = |id| {
        let found = sections.iter().find(|section| section.id == id);
        found
            .map(|section| section.body)
            .context("a section is missing")
    };
    let imported = imported_functions(body_of(IMPORTS)?)?;
    let types = types(body_of(FUNCTIONS)?)?;
    let exports = exports(body_of(EXPORTS)?)?;
    let index_of = |name: &str| {
        let found = exports.iter().find(|export| export.name == name.as_bytes());
        found
            .map(|export| export.index)
            .with_context(|| format!("the engine has no function `{name}`"))
    };
    let call = index_of(CALL)?;
    let own = call
        .checked_sub(imported)
        .context("an export is an import")?;
    let kind = *types.get(own as usize).context("a function has no type")?;
    let grafted = imported + u32::try_from(types.len())?;
    let code = three_calls(call, index_of(START)?, index_of(ASYNC_CALL)?);

    let mut module = engine[..8].to_vec();
    for section in &sections {
        let body = match section.id {
            FUNCTIONS => appended(section.body, &leb(kind))?,
            CODE => appended(section.body, &code)?,
            EXPORTS => renumbered(&exports, grafted),
            _ => section.body.to_vec(),
        };
        module.push(section.id);
        module.extend(leb(u32::try_from(body.len())?));
        module.extend(body);
    }
    Ok(module)
}

/// The largest component within a composition: the engine, without the stub
/// that takes the place of its module loader.
pub(crate) fn largest_component(composition: &[u8]) -> Result<&[u8]> {
    sections(composition)?
        .into_iter()
        .filter(|section| section.id == COMPONENT)
        .map(|section| section.body)
        .max_by_key(|body| body.len())
        .context("the composition holds no component")
}

/// A function of the engine's context `$0` and the export's number `$1`.
fn three_calls(call: u32, start: u32, async_call: u32) -> Vec<u8> {
    const LOCAL_GET: u8 = 0x20;
    const CALL: u8 = 0x10;
    const DROP: u8 = 0x1a;
    const END: u8 = 0x0b;
    let mut code = vec![0, LOCAL_GET, 0, LOCAL_GET, 1, CALL];
    code.extend(leb(call));
    code.extend([LOCAL_GET, 1, CALL]);
    code.extend(leb(start));
    code.extend([LOCAL_GET, 1, CALL]);
    code.extend(leb(async_call));
    code.extend([DROP, LOCAL_GET, 0, LOCAL_GET, 1, CALL]);
    code.extend(leb(call));
    code.push(END);
    let mut sized = leb(u32::try_from(code.len()).unwrap_or(u32::MAX));
    sized.extend(code);
    sized
}

struct Section<'a> {
    id: u8,
    body: &'a [u8],
}

fn sections(wasm: &[u8]) -> Result<Vec<Section<'_>>> {
    ensure!(wasm.starts_with(b"\0asm"), "it is not WebAssembly");
    let mut reader = Reader(wasm.get(8..).context("it has no header")?);
    let mut sections = Vec::new();
    while !reader.0.is_empty() {
        let id = reader.byte()?;
        let body = reader.sized()?;
        sections.push(Section { id, body });
    }
    Ok(sections)
}

fn imported_functions(body: &[u8]) -> Result<u32> {
    let mut reader = Reader(body);
    let mut functions = 0;
    for _ in 0..reader.leb()? {
        let (_module, _name) = (reader.sized()?, reader.sized()?);
        match reader.byte()? {
            0 => {
                reader.leb()?;
                functions += 1;
            }
            1 => {
                reader.byte()?;
                reader.limits()?;
            }
            2 => reader.limits()?,
            3 => {
                reader.byte()?;
                reader.byte()?;
            }
            kind => anyhow::bail!("an import is of kind {kind}"),
        }
    }
    Ok(functions)
}

fn types(body: &[u8]) -> Result<Vec<u32>> {
    let mut reader = Reader(body);
    (0..reader.leb()?).map(|_| reader.leb()).collect()
}

struct Export<'a> {
    name: &'a [u8],
    kind: u8,
    index: u32,
}

fn exports(body: &[u8]) -> Result<Vec<Export<'_>>> {
    let mut reader = Reader(body);
    let mut exports = Vec::new();
    for _ in 0..reader.leb()? {
        exports.push(Export {
            name: reader.sized()?,
            kind: reader.byte()?,
            index: reader.leb()?,
        });
    }
    Ok(exports)
}

fn renumbered(exports: &[Export<'_>], grafted: u32) -> Vec<u8> {
    let size = |length: usize| leb(u32::try_from(length).unwrap_or(u32::MAX));
    let mut body = size(exports.len());
    for export in exports {
        body.extend(size(export.name.len()));
        body.extend(export.name);
        body.push(export.kind);
        body.extend(leb(if export.name == CALL.as_bytes() {
            grafted
        } else {
            export.index
        }));
    }
    body
}

/// A vector with one more element.
fn appended(body: &[u8], element: &[u8]) -> Result<Vec<u8>> {
    let mut reader = Reader(body);
    let mut longer = leb(reader.leb()? + 1);
    longer.extend(reader.0);
    longer.extend(element);
    Ok(longer)
}

fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("it ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn leb(&mut self) -> Result<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(u32::try_from(value)?);
            }
        }
        anyhow::bail!("a number is too long")
    }

    fn sized(&mut self) -> Result<&'a [u8]> {
        let length = self.leb()?;
        self.take(length as usize)
    }

    fn limits(&mut self) -> Result<()> {
        let flags = self.byte()?;
        self.leb()?;
        if flags & 1 == 1 {
            self.leb()?;
        }
        Ok(())
    }
}
