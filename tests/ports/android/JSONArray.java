package org.json;

/** The methods of Android's org.json that ports/kotlin/LucencyReader.kt calls. */
public class JSONArray {
    public int length() {
        throw new UnsupportedOperationException();
    }

    public String getString(int index) {
        throw new UnsupportedOperationException();
    }

    public double getDouble(int index) {
        throw new UnsupportedOperationException();
    }

    public JSONObject getJSONObject(int index) {
        throw new UnsupportedOperationException();
    }
}
