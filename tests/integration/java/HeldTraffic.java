import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * The Java clients' part: cases as JSON on standard input, a report of each on standard output; what they say is
 * described in tests/integration/traffic/case.py. All settings are the defaults.
 */
public class HeldTraffic {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final double GIVE_UP_SECONDS = 75;
    private static final int ID_DIGITS = 10;

    private final JsonNode given;
    private final ObjectNode report = JSON.createObjectNode();
    private final ArrayNode arrivals = report.putArray("arrivals");
    private final ArrayNode errors = report.putArray("errors");
    private final double giveUp = now() + GIVE_UP_SECONDS;
    private double first = -1;
    private double last = -1;
    private int rebalances = 0;

    private HeldTraffic(JsonNode given) {
        this.given = given;
        report.set("name", given.get("name"));
    }

    public static void main(String[] args) throws Exception {
        List<Thread> threads = new ArrayList<>();
        List<HeldTraffic> all = new ArrayList<>();
        for (JsonNode given : JSON.readTree(System.in)) {
            HeldTraffic one = new HeldTraffic(given);
            all.add(one);
            threads.add(new Thread(one::run));
        }
        for (Thread thread : threads) {
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (HeldTraffic one : all) {
            System.out.println(JSON.writeValueAsString(one.report));
        }
    }

    /** Seconds of the clock that Python's time.monotonic() shows. */
    private static double now() {
        return System.nanoTime() / 1e9;
    }

    private void run() {
        try {
            if (given.get("produces").asBoolean()) {
                produce();
            } else {
                consume();
            }
        } catch (Exception error) {
            failed(error);
        }
        report.put("rebalances", rebalances);
    }

    private synchronized void failed(Exception error) {
        errors.add(error.toString());
    }

    private synchronized void arrived(int partition, long offset, long number, int size) {
        last = now();
        first = first < 0 ? last : first;
        arrivals.addArray().add(last).add(partition).add(offset).add(number).add(size);
    }

    private synchronized boolean complete() {
        if (now() > giveUp) {
            errors.add("gave up after " + arrivals.size() + " arrivals");
            return true;
        }
        return last - first > given.get("seconds").asDouble();
    }

    private void produce() throws Exception {
        int outstanding = given.get("outstanding").asInt();
        int partitions = given.get("partitions").asInt();
        int size = given.get("value_bytes").asInt();
        Semaphore free = new Semaphore(outstanding);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings(), new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int number = 0; !complete(); ) {
                if (!free.tryAcquire(100, TimeUnit.MILLISECONDS)) {
                    continue;
                }
                long sent = number;
                byte[] value = value(sent, size);
                producer.send(
                        new ProducerRecord<>(given.get("topic").asText(), number % partitions, null, value),
                        (metadata, error) -> {
                            if (error != null) {
                                failed(error);
                            } else {
                                arrived(metadata.partition(), metadata.offset(), sent, size);
                            }
                            free.release();
                        });
                number++;
            }
            producer.flush();
            tell(producer.metrics(), "produce");
        }
    }

    private void consume() {
        Properties settings = settings();
        settings.put("group.id", given.get("group").asText());
        settings.put("auto.offset.reset", "earliest");
        if (given.get("session_ms").asInt() > 0) {
            settings.put("session.timeout.ms", given.get("session_ms").asText());
        }
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(given.get("topic").asText()), new Listener());
            while (!complete()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    String id = new String(record.value(), 0, ID_DIGITS, StandardCharsets.UTF_8);
                    arrived(record.partition(), record.offset(), Long.parseLong(id), record.value().length);
                }
            }
            tell(consumer.metrics(), "fetch");
        }
    }

    /** Metrics of throttling, retries and errors. */
    private void tell(Map<MetricName, ? extends Metric> metrics, String api) {
        ObjectNode seen = report.putObject("seen");
        for (Metric metric : metrics.values()) {
            String name = metric.metricName().name();
            boolean ofAll = metric.metricName().tags().keySet().equals(java.util.Set.of("client-id"));
            if (ofAll && name.matches(".*throttle-time.*|record-(retry|error)-total|.*rebalance.*total|heartbeat-total")
                    && metric.metricValue() instanceof Double number && !number.isNaN()) {
                seen.put(name, number);
            }
        }
        report.put("throttle_ms", seen.path(api + "-throttle-time-max").asDouble());
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", given.get("bootstrap").asText());
        settings.put("security.protocol", "SASL_PLAINTEXT");
        settings.put("sasl.mechanism", "PLAIN");
        settings.put("sasl.jaas.config", String.format(
                "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"%s\" password=\"%s\";",
                given.get("user").asText(), given.get("password").asText()));
        settings.put("client.id", "java-" + given.get("name").asText());
        return settings;
    }

    private static byte[] value(long number, int size) {
        byte[] value = new byte[size];
        Arrays.fill(value, (byte) '.');
        byte[] id = String.format("%0" + ID_DIGITS + "d", number).getBytes(StandardCharsets.UTF_8);
        System.arraycopy(id, 0, value, 0, ID_DIGITS);
        return value;
    }

    private class Listener implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            rebalances += arrivals.isEmpty() ? 0 : 1;
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
    }
}
