"""Whether the Hugging Face hub answers. The token itself is never shown."""

from harness.doctor.finding import Finding
from harness.io.redaction import redact
from harness.models import HubModel

GROUP, ACCESS = "hub", "access"
TIMEOUT_S = 5.0


def look_at_hub(model: HubModel | None) -> list[Finding]:
    """Checks the connection to the hub with a HEAD request for a small file.

    Args:
        model: Whose file; None asks for nothing.
    """
    return [_access(model), _token()]


def _access(model: HubModel | None) -> Finding:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.is_offline_mode():
        value = "off, as HF_HUB_OFFLINE says"
        return Finding(
            group=GROUP, name=ACCESS, status="missing", value=value, remedy="unset HF_HUB_OFFLINE"
        )
    if model is None:
        return Finding(group=GROUP, name=ACCESS, status="missing", value="no model is on it")
    try:
        url = hf_hub_url(model.hub_id, "config.json", revision=model.revision)
        get_hf_file_metadata(url, timeout=TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - many libraries' errors, one meaning
        return Finding(
            group=GROUP,
            name=ACCESS,
            status="missing",
            value=f"{constants.ENDPOINT} does not give {model.hub_id}: {_reason(error)}",
            remedy="HTTPS_PROXY or HF_ENDPOINT where you have one; else models and data by hand: "
            "model=local, HARNESS_DATA_DIR",
        )
    return Finding(group=GROUP, name=ACCESS, status="ok", value=f"{constants.ENDPOINT} answers")


def _reason(error: Exception) -> str:
    return " ".join(redact(f"{type(error).__name__}: {error}").split())[:120]


def _token() -> Finding:
    from huggingface_hub import get_token

    if get_token():
        return Finding(group=GROUP, name="token", status="ok", value="present")
    return Finding(
        group=GROUP,
        name="token",
        status="warn",
        value="none; only gated models and a higher rate need one",
        remedy="hf auth login, or HF_TOKEN",
    )
