import java.io.*;
import java.util.Arrays;
import java.util.stream.*;

public class Rule {
    static double[] column(String line, String name) {
        String after = line.split("\"" + name + "\":\\[", 2)[1];
        return Arrays.stream(after.substring(0, after.indexOf(']')).split(",")).mapToDouble(Double::parseDouble).toArray();
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line; (line = lines.readLine()) != null; ) {
            String id = line.replaceFirst("^.*?\"id\":(\\d+).*$", "$1");
            String answer;
            try {
                double[] bmi = column(line, "bmi"), s5 = column(line, "s5");
                answer = IntStream.range(0, bmi.length)
                    .mapToObj(row -> Double.toString(152.94615870263704 + 669.6525964460959 * bmi[row] + 609.7326831950464 * s5[row]))
                    .collect(Collectors.joining(",", "\"columns\":{\"progression\":[", "]}"));
            } catch (RuntimeException problem) {
                answer = "\"error\":\"bmi and s5 are needed\"";
            }
            System.out.println("{\"id\":" + id + "," + answer + "}");
        }
    }
}
