import java.io.FileInputStream;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/**
 * Copies records in transactions, offsets included. Kafka's own TransactionalMessageCopier does the same, but can't
 * sign in. Every third transaction is aborted and done again; the first producer is fenced by a second one with its
 * transactional id while it has a transaction open.
 *
 * Arguments: properties file, bootstrap servers, source, sink, group, transactional id, number of records, of records
 * per transaction. Prints "aborted" and "fenced" when that has happened, "copied N" at the end.
 */
public class ExactlyOnceCopy {
    private static final long DEADLINE_NANOS = System.nanoTime() + Duration.ofSeconds(40).toNanos();

    public static void main(String[] args) throws Exception {
        Properties common = new Properties();
        try (FileInputStream file = new FileInputStream(args[0])) {
            common.load(file);
        }
        common.put("bootstrap.servers", args[1]);
        String source = args[2], sink = args[3];
        KafkaProducer<String, String> zombie = producer(common, args[5]);
        zombie.beginTransaction();
        zombie.send(new ProducerRecord<>(sink, 0, null, "of a producer that was fenced")).get();
        try (KafkaProducer<String, String> producer = producer(common, args[5]);
                KafkaConsumer<String, String> consumer = consumer(common, args[4], Integer.parseInt(args[7]))) {
            expectFenced(zombie);
            consumer.subscribe(List.of(source));
            copy(consumer, producer, sink, Integer.parseInt(args[6]));
        }
    }

    private static KafkaProducer<String, String> producer(Properties common, String transactionalId) {
        Properties settings = new Properties();
        settings.putAll(common);
        settings.put("transactional.id", transactionalId);
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings);
        producer.initTransactions();
        return producer;
    }

    private static KafkaConsumer<String, String> consumer(Properties common, String group, int recordsPerTransaction) {
        Properties settings = new Properties();
        settings.putAll(common);
        settings.put("group.id", group);
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", String.valueOf(recordsPerTransaction));
        settings.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        settings.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return new KafkaConsumer<>(settings);
    }

    private static void expectFenced(KafkaProducer<String, String> zombie) {
        try {
            zombie.commitTransaction();
        } catch (ProducerFencedException | InvalidProducerEpochException expected) {
            System.out.println("fenced");
        }
        try {
            zombie.close(Duration.ZERO);
        } catch (KafkaException ignored) {
            // it is of no use any more
        }
    }

    private static void copy(
            KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer, String sink, int count) {
        int copied = 0;
        int transactions = 0;
        while (copied < count && System.nanoTime() < DEADLINE_NANOS) {
            ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
            if (records.isEmpty()) {
                continue;
            }
            transactions++;
            producer.beginTransaction();
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            Map<TopicPartition, Long> first = new HashMap<>();
            for (ConsumerRecord<String, String> record : records) {
                TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                first.putIfAbsent(partition, record.offset());
                next.put(partition, new OffsetAndMetadata(record.offset() + 1));
                producer.send(new ProducerRecord<>(sink, record.partition(), null, record.value()));
            }
            producer.sendOffsetsToTransaction(next, consumer.groupMetadata());
            if (transactions % 3 == 0) {
                producer.flush();
                producer.abortTransaction();
                System.out.println("aborted");
                first.forEach(consumer::seek);
            } else {
                producer.commitTransaction();
                copied += records.count();
            }
        }
        System.out.println("copied " + copied);
    }
}
