//! What a change makes of an endpoint's record: every rule at once, nothing touched.

use lusk_domain::{
    AuthMode, EndpointRecord, Settings, SettingsChange, Share, Stake, TrafficTable, VersionName,
    Violation,
};

use crate::{ChangeEndpoint, ControlError};

/// The record after a change, and what the user may not expect of it.
pub(super) struct Applied {
    pub(super) record: EndpointRecord,
    pub(super) notes: Vec<String>,
}

/// The record after `change`; `joining` is the version that gets into the table with it.
///
/// # Errors
/// A broken rule.
pub(super) fn applied(
    before: &EndpointRecord,
    change: &ChangeEndpoint,
    joining: Option<&VersionName>,
) -> Result<Applied, ControlError> {
    let mut record = before.clone();
    record.description = change.description.clone().or(record.description);
    record.tags = change.tags.clone().unwrap_or(record.tags);
    record.app_insights = change.app_insights.unwrap_or(record.app_insights);
    record.sticky = change.sticky.clone().unwrap_or(record.sticky);
    record.auth = auth(before.auth, change)?;
    properties(&mut record, change)?;
    record.traffic = traffic(before, change, joining)?;
    let notes = mirror(&mut record, change)?;
    returning(&mut record, change, joining)?;
    guards(&mut record, change)?;
    Ok(Applied { record, notes })
}

fn auth(before: AuthMode, change: &ChangeEndpoint) -> Result<AuthMode, ControlError> {
    let now = Settings {
        auth: before,
        ..Settings::default()
    };
    let wish = SettingsChange {
        auth_enabled: change.auth_enabled,
        token_auth_enabled: change.token_auth_enabled,
        ..SettingsChange::default()
    };
    let settings = now.changed(&wish);
    let settings = settings.map_err(|violations| ControlError::Invalid { violations })?;
    Ok(settings.auth)
}

fn properties(record: &mut EndpointRecord, change: &ChangeEndpoint) -> Result<(), ControlError> {
    let mut violations = Vec::new();
    for (key, value) in &change.add_properties {
        match record.properties.get(key) {
            Some(there) => violations.push(Violation::new(
                format!("properties.{key}"),
                format!("is set to `{there}` already; properties can only be added"),
            )),
            None => {
                record.properties.insert(key.clone(), value.clone());
            }
        }
    }
    match violations.is_empty() {
        true => Ok(()),
        false => Err(ControlError::Invalid { violations }),
    }
}

fn traffic(
    before: &EndpointRecord,
    change: &ChangeEndpoint,
    joining: Option<&VersionName>,
) -> Result<Option<TrafficTable>, ControlError> {
    let refused = |error| ControlError::Traffic {
        endpoint: before.name.clone(),
        error,
    };
    let table = match (&before.traffic, joining) {
        (None, Some(first)) => Some(TrafficTable::new(first.clone(), Share::NONE, false)),
        (Some(table), Some(next)) if table.share(next).is_none() => {
            Some(table.with_added(next, Stake::default()).map_err(refused)?)
        }
        (table, _) => table.clone(),
    };
    let Some(mut table) = table else {
        let asked = change
            .stakes
            .keys()
            .chain(change.shares.iter().flatten().map(|(name, _)| name));
        return match asked.into_iter().next() {
            Some(version) => Err(never_healthy(before, version)),
            None => Ok(None),
        };
    };
    if let Some(shares) = &change.shares {
        table = table.with_shares(shares).map_err(refused)?;
    }
    Ok(Some(table.with_stakes(&change.stakes).map_err(refused)?))
}

/// There is no such version, or it is on its way to its first replica.
pub(super) fn never_healthy(record: &EndpointRecord, version: &VersionName) -> ControlError {
    let names = record.traffic.iter().flat_map(TrafficTable::shares);
    let names: Vec<_> = names.map(|(name, _)| format!("`{name}`")).collect();
    let there = match names.is_empty() {
        true => "none has been yet".to_owned(),
        false => format!("these have: {}", names.join(", ")),
    };
    let message = format!(
        "endpoint `{}` has no version `{version}` that was ever healthy; {there}",
        record.name
    );
    ControlError::invalid(&format!("versions.{version}"), message)
}

/// A version is live or mirrored to, not both: a change that gives it a share ends the
/// mirroring.
fn mirror(
    record: &mut EndpointRecord,
    change: &ChangeEndpoint,
) -> Result<Vec<String>, ControlError> {
    let share = |record: &EndpointRecord, version: &VersionName| {
        let table = record.traffic.as_ref()?;
        table.share(version).map(|_| table.effective(version))
    };
    if let Some(wish) = &change.mirror {
        record.mirror.clone_from(wish);
        let Some(mirror) = wish else {
            return Ok(Vec::new());
        };
        return match share(record, &mirror.version) {
            None => Err(never_healthy(record, &mirror.version)),
            Some(Share::NONE) => Ok(Vec::new()),
            Some(live) => Err(ControlError::invalid(
                "mirrorTraffic",
                format!(
                    "version `{}` answers {live} percent of the traffic, only one that answers \
                     none can get copies",
                    mirror.version
                ),
            )),
        };
    }
    let live = record
        .mirror
        .as_ref()
        .filter(|mirror| share(record, &mirror.version).is_none_or(|live| live > Share::NONE));
    let notes =
        live.map(|mirror| format!("mirroring to `{}` ends: it has a share now", mirror.version));
    let notes: Vec<_> = notes.into_iter().collect();
    if !notes.is_empty() {
        record.mirror = None;
    }
    Ok(notes)
}

/// A version that its guard rolled back stays so until it is another one, or its user
/// says what holds for it now: the next step of a ramp must not undo it unseen.
fn returning(
    record: &mut EndpointRecord,
    change: &ChangeEndpoint,
    joining: Option<&VersionName>,
) -> Result<(), ControlError> {
    let (Some(back), Some(table)) = (&record.rolled_back, &record.traffic) else {
        return Ok(());
    };
    let version = back.version.clone();
    if joining == Some(&version) {
        let guard = back.guard.map(|guard| (version, guard));
        record.guards.extend(guard);
        record.rolled_back = None;
    } else if change.guards.contains_key(&version) || table.share(&version).is_none() {
        record.rolled_back = None;
    } else if table.effective(&version) > Share::NONE {
        let message = format!(
            "version `{version}` was rolled back ({}): deploy it anew, or say with this change \
             what it is to be rolled back by, or that nothing is (abortIf)",
            back.reason
        );
        return Err(ControlError::invalid(
            &format!("versions.{version}"),
            message,
        ));
    }
    Ok(())
}

fn guards(record: &mut EndpointRecord, change: &ChangeEndpoint) -> Result<(), ControlError> {
    let Some(table) = &record.traffic else {
        return match change.guards.keys().next() {
            Some(version) => Err(never_healthy(record, version)),
            None => Ok(()),
        };
    };
    for (version, guard) in &change.guards {
        let Some(guard) = guard else {
            record.guards.remove(version);
            continue;
        };
        if table.share(version).is_none() {
            return Err(never_healthy(record, version));
        }
        if !can_be_rolled_back(table, version) {
            let message = format!(
                "version `{version}` is the default and no other one is the control: there is \
                 nothing to roll back to"
            );
            return Err(ControlError::invalid(
                &format!("versions.{version}.abortIf"),
                message,
            ));
        }
        record.guards.insert(version.clone(), *guard);
    }
    // What a change of default or control left without a way back.
    record
        .guards
        .retain(|version, _| table.share(version).is_some() && can_be_rolled_back(table, version));
    Ok(())
}

fn can_be_rolled_back(table: &TrafficTable, version: &VersionName) -> bool {
    table.default() != version || table.control().is_some_and(|control| control != version)
}

/// Who gets what, for people: `blue 90 (default), green 10 (control)`.
pub(crate) fn in_words(table: &TrafficTable) -> String {
    let parts = table.shares().map(|(name, _)| {
        let roles = [
            (table.default() == name).then_some("default"),
            (table.control() == Some(name)).then_some("control"),
        ];
        let roles: Vec<_> = roles.into_iter().flatten().collect();
        let share = table.effective(name);
        match roles.is_empty() {
            true => format!("{name} {share} %"),
            false => format!("{name} {share} % ({})", roles.join(", ")),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}
