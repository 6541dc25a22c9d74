"""Partitions and offsets as the client has them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import TopicPartition as VendorPartition

from worker.records import NextOffset, TopicPartition


def with_followers(
    topics: Iterable[str], partitions: Iterable[VendorPartition]
) -> list[TopicPartition]:
    """Return the partitions of those numbers, of all these topics."""
    numbers = [partition.partition for partition in partitions]
    return [TopicPartition(topic, number) for topic in topics for number in numbers]


def vendor_partitions(places: Iterable[TopicPartition]) -> list[VendorPartition]:
    """Return partitions as the client takes them."""
    return [VendorPartition(*place) for place in places]


def vendor_offsets(
    next_offsets: Mapping[TopicPartition, NextOffset],
) -> list[VendorPartition]:
    """Return next offsets as the client takes them."""
    return [
        VendorPartition(
            place.topic, place.partition, following.offset, following.metadata
        )
        for place, following in next_offsets.items()
    ]
