"""A real Apache Kafka that lets in only who proves who they are, and do only what they may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from servers.kafka import KafkaServer
from servers.process import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from servers.certificates import Certificates

USER, PASSWORD = "modelwatch", "correct-horse-7381"
Right = tuple[ResourceType, str, AclOperation]

# The plain listener is the tests' own: whoever comes by it is nobody, and may do everything.
_PROPERTIES = """\
listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{ssl},SASL_PLAINTEXT://127.0.0.1:{sasl},\
SASL_SSL://127.0.0.1:{both},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{ssl},SASL_PLAINTEXT://127.0.0.1:{sasl},\
SASL_SSL://127.0.0.1:{both}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,\
SASL_SSL:SASL_SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:CN=client
ssl.keystore.type=PEM
ssl.keystore.location={certificates}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={certificates}/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config={login} user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram};
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
"""


class SecureKafka(KafkaServer):
    """One broker with a listener for each security protocol; ``at`` says where each of them is."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        super().__init__(directory)
        plain = int(self.bootstrap.rpartition(":")[2])
        before = dict(line.split("=", 1) for line in self._properties.read_text().splitlines())
        controller = before["controller.quorum.bootstrap.servers"].rpartition(":")[2]
        ssl, sasl, both = free_ports(3)
        text = _PROPERTIES.format(
            plain=plain,
            ssl=ssl,
            sasl=sasl,
            both=both,
            controller=controller,
            certificates=certificates.ca.parent,
            login="org.apache.kafka.common.security.plain.PlainLoginModule required",
            scram="org.apache.kafka.common.security.scram.ScramLoginModule required",
            user=USER,
            password=PASSWORD,
        )
        known = before | dict(line.split("=", 1) for line in text.splitlines())
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in known.items()))
        self._format_options = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        self.at = {"SSL": f"127.0.0.1:{ssl}", "SASL_PLAINTEXT": f"127.0.0.1:{sasl}", "SASL_SSL": f"127.0.0.1:{both}"}

    def allow(self, rights: Iterable[Right]) -> None:
        """Let ``USER`` do this."""
        bindings = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)
            for kind, name, operation in rights
        ]
        for done in self.admin.create_acls(bindings).values():
            done.result(20)
