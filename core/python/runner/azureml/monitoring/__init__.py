"""Data collection's interface; nothing is stored yet."""

import datetime
import os
import uuid

DESIGNATIONS = ("inputs", "predictions", "labels", "signals", "general")

_told = False


class ModelDataCollector:
    """Accepts data under a designation and gives them a correlation id."""

    def __init__(
        self,
        model_name,
        designation="default",
        feature_names=None,
        workspace="default/default/default",
        webservice_name="default",
        model_version="default",
        collection_name="default",
    ):
        self.model_name = model_name
        self.designation = "general" if designation == "default" else designation
        self.feature_names = feature_names
        self.workspace = workspace
        self.webservice_name = os.environ.get("SERVICE_NAME", webservice_name)
        self.model_version = model_version
        self.collection_name = collection_name
        if self.designation not in DESIGNATIONS:
            print(
                f"data collection: the designation `{designation}` is none of "
                f"{', '.join(DESIGNATIONS)}; nothing is collected"
            )

    def collect(self, data, user_correlation_id=""):
        """Takes `data` and returns its correlation columns."""
        _tell_once()
        number = str(uuid.uuid4())
        identity = f"{user_correlation_id}-{number}" if user_correlation_id else number
        if self.designation != "inputs":
            return {"$aml_dc_correlation_id": identity}
        hourly = os.environ.get("AML_MODEL_DC_BOUNDARY", "").lower() == "hour"
        return {
            "$aml_dc_correlation_id": identity,
            "$aml_dc_scoring_timestamp": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "$aml_dc_boundary": 60 if hourly else 1440,
            "$aml_workspace": self.workspace,
            "$aml_service_name": self.webservice_name,
            "$aml_model_name": self.model_name,
            "$aml_model_version": self.model_version,
            "$aml_request_id": number,
        }

    def add_correlations(self, input_data, correlations):
        """Appends the correlation values to a row given as a list."""
        if isinstance(input_data, list) and correlations:
            return input_data + list(correlations.values())
        return input_data


def _tell_once():
    global _told
    if not _told:
        _told = True
        print("data collection: lusk does not store collected data; collect() goes on")
