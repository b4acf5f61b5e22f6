import java.io.FileInputStream;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Produces record after record to partition 0 and consumes each, on connections that stay open. Nothing is tried
 * again: a connection that is lost fails the program.
 *
 * Arguments: properties file, bootstrap servers, topic, seconds. Prints "produced and consumed N" at the end.
 */
public class SteadyTraffic {
    private static final long PAUSE_MILLIS = 20;
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        try (FileInputStream file = new FileInputStream(args[0])) {
            settings.load(file);
        }
        settings.put("bootstrap.servers", args[1]);
        TopicPartition partition = new TopicPartition(args[2], 0);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(ofProducer(settings));
                KafkaConsumer<String, String> consumer = new KafkaConsumer<>(ofConsumer(settings))) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = System.nanoTime() + Duration.ofSeconds(Long.parseLong(args[3])).toNanos();
            int number = 0;
            for (; System.nanoTime() < end; number++) {
                producer.send(new ProducerRecord<>(args[2], 0, null, "steady-" + number)).get();
                expect(consumer, "steady-" + number);
                Thread.sleep(PAUSE_MILLIS);
            }
            System.out.println("produced and consumed " + number);
        }
    }

    private static void expect(KafkaConsumer<String, String> consumer, String value) {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (System.nanoTime() < end) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                if (!record.value().equals(value)) {
                    throw new IllegalStateException(record.value() + " instead of " + value);
                }
                return;
            }
        }
        throw new IllegalStateException(value + " does not come back");
    }

    private static Properties ofProducer(Properties common) {
        Properties settings = new Properties();
        settings.putAll(common);
        settings.put("enable.idempotence", "false");
        settings.put("retries", "0");
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        return settings;
    }

    private static Properties ofConsumer(Properties common) {
        Properties settings = new Properties();
        settings.putAll(common);
        settings.put("enable.auto.commit", "false");
        settings.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        settings.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return settings;
    }
}
