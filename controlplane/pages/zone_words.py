"""What the fields of a zone's form, and their values, are called on pages."""

from typing import Final

from controlplane.pages.limit_fields import LIMITS, UNITS
from controlplane.pages.topic_editor import LAST_TOPIC
from controlplane.pages.zone_form import MAX_ZONE_NAME, NOT_IN_NAMES, ZoneForm
from controlplane.partner_zone import MAX_SERVICE_ACCOUNT

LABELS: Final = {
    "displayName": "Name",
    "name": "Technical ID",
    "serviceAccount": "Service account",
    "labels": "Labels",
    "url": "URL",
    "description": "Description",
    "cluster": "Cluster",
    "partnerName": "Contact's name",
    "partnerRole": "Contact's role",
    "partnerEmail": "Contact's email",
    "partnerPhone": "Contact's phone",
    "mode": "Sign-in",
    "topics": "Topics",
    **{kind.field: kind.label for kind in LIMITS},
}
"""What fields are called on the page."""

PERMISSIONS: Final = {"READ": "Read", "WRITE": "Read/Write"}

MODES: Final = {
    "PLAIN": "User name and password",
    "OAUTHBEARER": "Token of the identity provider (OAUTHBEARER)",
    "MTLS": "Certificate (mTLS)",
}


def label_of(field: str, form: ZoneForm) -> str:
    """What a field is called; of one in a row, the row's topic."""
    _, dash, key = field.partition("-")
    if not dash:
        return LABELS.get(field, "")
    return next((f"Topic {row.topic}" for row in form.topics if str(row.key) == key), "Topics")


FORM_VALUES: Final = {
    "modes": MODES,
    "permissions": PERMISSIONS,
    "units": list(UNITS),
    "label_of": label_of,
    "last_topic": LAST_TOPIC,
    "derived_without": NOT_IN_NAMES,
    "max_zone_name": MAX_ZONE_NAME,
    "max_service_account": MAX_SERVICE_ACCOUNT,
}
"""What templates of the form need."""
