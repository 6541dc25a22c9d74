"""The only importer of the Kafka client: everything that talks to a broker."""
