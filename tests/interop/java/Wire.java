import com.fasterxml.jackson.databind.JsonNode;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;

/** One connection that sends single requests with Kafka's own message classes, below any client's logic. */
final class Wire implements AutoCloseable {
    private final Socket socket;
    private final DataInputStream in;
    private final DataOutputStream out;
    private int correlation;

    Wire(String bootstrap) throws IOException {
        String[] parts = bootstrap.split(":");
        socket = new Socket(parts[0], Integer.parseInt(parts[1]));
        socket.setSoTimeout(8_000);
        socket.setTcpNoDelay(true);
        in = new DataInputStream(socket.getInputStream());
        out = new DataOutputStream(socket.getOutputStream());
    }

    /** Sends one request and returns its answer; every byte of the answer must belong to it. */
    ApiMessage ask(ApiMessage request, int version) throws IOException {
        return answer(request, version, version);
    }

    /** As `ask`, reading the answer as another version: what a server does with a version that it doesn't know. */
    ApiMessage answer(ApiMessage request, int version, int answerVersion) throws IOException {
        ApiMessageType type = ApiMessageType.fromApiKey(request.apiKey());
        int supported = Math.min(version, type.highestSupportedVersion(true));
        RequestHeaderData header = new RequestHeaderData().setRequestApiKey(request.apiKey())
            .setRequestApiVersion((short) version).setCorrelationId(++correlation).setClientId("probe");
        ByteBuffer head = MessageUtil.toByteBufferAccessor(header, type.requestHeaderVersion((short) supported)).buffer();
        ByteBuffer body = MessageUtil.toByteBufferAccessor(request, (short) supported).buffer();
        out.writeInt(head.remaining() + body.remaining());
        out.write(MessageUtil.byteBufferToArray(head));
        out.write(MessageUtil.byteBufferToArray(body));
        out.flush();
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        ByteBufferAccessor readable = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
        ResponseHeaderData back = new ResponseHeaderData(readable, type.responseHeaderVersion((short) answerVersion));
        Check.equal(back.correlationId(), correlation, "correlation id");
        ApiMessage response = type.newResponse();
        response.read(readable, (short) answerVersion);
        Check.equal(readable.remaining(), 0, "bytes after the answer to " + type + " " + version);
        return response;
    }

    /** The message as JSON, by Kafka's converter for its class. */
    static JsonNode json(ApiMessage message, int version) throws ReflectiveOperationException {
        Class<?> converter = Class.forName(message.getClass().getName() + "JsonConverter");
        return (JsonNode) converter.getMethod("write", message.getClass(), short.class, boolean.class)
            .invoke(null, message, (short) version, false);
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
