import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import javax.security.auth.x500.X500Principal;
import org.apache.kafka.common.security.ssl.SslPrincipalMapper;

/**
 * What Java and Kafka make of names. Each line of the file is one question, in Base64: "name DER" asks for the text of a
 * distinguished name, "map RULES SUBJECT" for the principal. One line answers each: Base64 behind "=", or "!" and why not.
 */
public class Names {
    public static void main(String[] args) throws Exception {
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] words = line.split(" ", -1);
            try {
                System.out.println("=" + Base64.getEncoder().encodeToString(answer(words).getBytes("UTF-8")));
            } catch (Exception error) {
                System.out.println("!" + error.getClass().getSimpleName());
            }
        }
    }

    private static String answer(String[] words) throws Exception {
        if (words[0].equals("name")) {
            return new X500Principal(Base64.getDecoder().decode(words[1])).getName();
        }
        return SslPrincipalMapper.fromRules(text(words[1])).getName(text(words[2]));
    }

    private static String text(String base64) throws Exception {
        return new String(Base64.getDecoder().decode(base64), "UTF-8");
    }
}
